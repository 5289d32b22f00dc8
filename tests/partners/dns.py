"""
Real DNS servers on loopback: Knot is authoritative for zones that a test writes, Unbound recurses to it and validates.

Not a fake (`pymta.testing.FakeResolver` is one). Each instance has its own folder, port and control socket, is started
in the foreground and ended by its pid. Debian packages: knot, unbound.
"""

import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.message
import dns.query

from tests.partners.ports import free_port
from tests.partners.program import Program, find_program
from tests.partners.waiting import wait_until

START_S_MAX = 15
STARTS_MAX = 3

# Before the records of each zone. The TTLs are short only where a test says so.
ZONE_HEAD = """\
$ORIGIN {zone}.
$TTL 3600
@ SOA ns hostmaster 1 3600 900 86400 {negative_ttl_s}
@ NS ns
ns A 127.0.0.1
"""


class Knot:
    """
    knotd, authoritative for some zones; a context manager that stops it.

    SERVFAIL comes from a zone of `broken` (there is no file for it), REFUSED from any zone that it does not have.
    """

    def __init__(
        self,
        folder: Path,
        zones: Mapping[str, str],
        *,
        broken: tuple[str, ...] = (),
        signed: tuple[str, ...] = (),
        negative_ttl_s: int = 300,
    ) -> None:
        """
        Start it.

        Args:
            folder: An existing folder of this instance's own.
            zones: Zone → its records in master file format (RFC 1035 §5.1), without SOA and NS.
            broken: Zones that it is told to have and cannot load.
            signed: Those of *zones* that it signs (RFC 4034), as soon as it has started.
            negative_ttl_s: The last number of each SOA (RFC 2308 §4).
        """
        self.address = "127.0.0.1"
        self._folder = folder
        self._negative_ttl_s = negative_ttl_s
        self._loaded = tuple(zones)
        (folder / "database").mkdir(exist_ok=True)
        for zone, records in zones.items():
            self._write(zone, records)
        for start in range(1, STARTS_MAX + 1):
            self.port = free_port()
            (folder / "knot.conf").write_text(
                self._configuration((*zones, *broken), signed), encoding="utf-8"
            )
            self._program = Program("knotd", "-c", folder / "knot.conf", output=folder / f"knot-{start}.log")
            try:
                wait_until(self._has_started, "knotd answers", limit_s=START_S_MAX)
                return
            except AssertionError:
                self._program.stop()
                if start == STARTS_MAX:
                    raise AssertionError(f"knotd did not start:\n{self._program.text()}") from None

    def query_count(self, kind: str | None = None) -> int:
        """Questions that it was asked so far, all or of one type ("MX"), as its own statistics say."""
        said = self._control("stats")
        kinds = re.findall(r"mod-stats\.query-type\[([A-Z0-9]+)\] = (\d+)", said)
        return sum(int(count) for asked, count in kinds if kind in (None, asked))

    def replace_zone(self, zone: str, records: str) -> None:
        """Let *zone* hold *records* from now on."""
        self._write(zone, records)
        self._control("-b", "zone-reload", zone)

    def signing_keys(self, zone: str) -> str:
        """The DS records of a signed zone, for a validator's trust anchor file."""
        said = subprocess.run(
            [find_program("keymgr"), "-c", self._folder / "knot.conf", zone, "ds"],
            check=True,
            capture_output=True,
            timeout=START_S_MAX,
        )
        return said.stdout.decode()

    def stop(self) -> None:
        """Stop it."""
        self._program.stop()

    def _control(self, *arguments: str) -> str:
        command = [find_program("knotc"), "-s", str(self._folder / "control"), *arguments]
        said = subprocess.run(command, check=True, capture_output=True, timeout=START_S_MAX)
        return said.stdout.decode()

    def _has_started(self) -> bool:
        if self._program.process.poll() is not None:
            raise AssertionError(self._program.text())
        return all(answers(self.address, self.port, zone) for zone in self._loaded)

    def _write(self, zone: str, records: str) -> None:
        head = ZONE_HEAD.format(zone=zone, negative_ttl_s=self._negative_ttl_s)
        (self._folder / f"{zone}.zone").write_text(head + records, encoding="utf-8")

    def _configuration(self, zones: tuple[str, ...], signed: tuple[str, ...]) -> str:
        folder = self._folder
        lines = [
            "server:",
            f"    rundir: {folder}",
            f"    listen: {self.address}@{self.port}",
            "    udp-workers: 1",
            "    tcp-workers: 1",
            "    background-workers: 1",
            "control:",
            f"    listen: {folder}/control",
            "log:",
            "  - target: stdout",
            "    any: info",
            "database:",
            f"    storage: {folder}/database",
            "    journal-db-max-size: 8M",
            "    timer-db-max-size: 8M",
            "    kasp-db-max-size: 8M",
            "mod-stats:",
            "  - id: counts",
            "    query-type: on",
            "template:",
            "  - id: default",
            f"    storage: {folder}",
            '    file: "%s.zone"',
            "    zonefile-sync: -1",
            "    global-module: mod-stats/counts",
            "zone:",
        ]
        for zone in zones:
            lines.append(f"  - domain: {zone}")
            if zone in signed:
                lines += [
                    "    dnssec-signing: on",
                    "    journal-content: all",
                    "    zonefile-load: difference-no-serial",
                ]
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Unbound:
    """unbound, which asks a Knot for some zones and validates those with a trust anchor; stopped at the end."""

    def __init__(self, folder: Path, knot: Knot, zones: tuple[str, ...], *, trust_anchors: str = "") -> None:
        """
        Start it.

        Args:
            folder: An existing folder of this instance's own.
            knot: Who has the zones.
            zones: The zones to ask it for; nothing else is ever asked for anywhere.
            trust_anchors: DS records (`Knot.signing_keys`).
        """
        self.address = "127.0.0.1"
        (folder / "anchors").write_text(trust_anchors, encoding="ascii")
        for start in range(1, STARTS_MAX + 1):
            self.port = free_port()
            (folder / "unbound.conf").write_text(self._configuration(folder, knot, zones), encoding="ascii")
            self._program = Program(
                "unbound", "-d", "-p", "-c", folder / "unbound.conf", output=folder / f"unbound-{start}.log"
            )
            try:
                wait_until(self._has_started, "unbound answers", limit_s=START_S_MAX)
                return
            except AssertionError:
                self._program.stop()
                if start == STARTS_MAX:
                    raise AssertionError(f"unbound did not start:\n{self._program.text()}") from None

    def stop(self) -> None:
        """Stop it."""
        self._program.stop()

    def _has_started(self) -> bool:
        if self._program.process.poll() is not None:
            raise AssertionError(self._program.text())
        return answers(self.address, self.port)

    def _configuration(self, folder: Path, knot: Knot, zones: tuple[str, ...]) -> str:
        lines = [
            "server:",
            f"    interface: {self.address}@{self.port}",
            f'    directory: "{folder}"',
            '    chroot: ""',
            '    username: ""',
            "    use-syslog: no",
            "    do-daemonize: no",
            "    num-threads: 1",
            "    do-not-query-localhost: no",
            '    module-config: "validator iterator"',
            f'    trust-anchor-file: "{folder}/anchors"',
            # Nothing ever goes out to the network: what is in no zone of ours is refused.
            '    local-zone: "." refuse',
        ]
        lines += [f'    local-zone: "{zone}" transparent' for zone in zones]
        lines += [f'    domain-insecure: "{zone}"' for zone in zones if zone not in self._anchored(folder)]
        for zone in zones:
            lines += ["stub-zone:", f'    name: "{zone}"', f"    stub-addr: {knot.address}@{knot.port}"]
        lines += ["remote-control:", "    control-enable: no"]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _anchored(folder: Path) -> set[str]:
        anchors = (folder / "anchors").read_text(encoding="ascii").splitlines()
        return {line.split()[0].rstrip(".") for line in anchors if line.strip()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class SilentServer:
    """A DNS server that never answers: a bound socket that nobody reads, so no ICMP error tells on it either."""

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


def answers(address: str, port: int, zone: str | None = None) -> bool:
    """Whether a DNS server there answers anything at all, SERVFAIL included, or has *zone* where one is named."""
    question = dns.message.make_query(
        zone or "version.bind", "SOA" if zone else "TXT", "IN" if zone else "CH"
    )
    try:
        answer = dns.query.udp(question, address, port=port, timeout=0.3)
    except (dns.exception.Timeout, OSError):
        return False
    return zone is None or bool(answer.answer)
