"""
pymta itself as a partner: `python -m pymta serve` in a process of its own, on ports and with data of its own.

Not a way into its objects: what it did is read from its log, its control socket, its HTTP answers and its folder, as an
operator would. Rule: the log goes to a file that outlives a kill, so a test can ask what happened before it.
"""

import json
import os
import signal
import smtplib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymta.admin.client import ControlClient, ControlError, NotRunning
from pymta.admin.control import QueueQuery, QueueRow
from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.waiting import wait_until

PYTHON = Path(__file__).resolve().parents[2] / "python"
STARTS_MAX = 3
STOP_S_MAX = 30

Table = Mapping[str, Any]


class Pymta:
    """
    A running server; a context manager that stops it.

    It listens on 127.0.0.1:`port` as listener "relay", trusts loopback, keeps its data in `folder`/data and asks no DNS
    server of the machine. Where mail goes is told by *routes*; without any it asks the resolver that *sections* name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        routes: Sequence[Table] = (),
        listener: Table | None = None,
        listeners: Sequence[Table] = (),
        certificates: Sequence[Table] = (),
        policy: str | None = None,
        http: bool = False,
        environment: dict[str, str] | None = None,
        before: Sequence[str] = (),
        start: bool = True,
        **sections: Table,
    ) -> None:
        """
        Write the configuration and start it.

        Args:
            folder: A folder of this instance's own; made where it is missing.
            routes: The tables of [[routes]], see `next_hop` for the usual one.
            listener: Options of the listener over those above; `trusted_networks=[]` for one that trusts nobody.
            listeners: More listeners; each needs a name and gets a port in `ports`.
            certificates: The tables of [[certificates]].
            policy: Source of a policy script, written to `folder`/policy.py.
            http: Whether to serve metrics and health on `http_port`.
            environment: Variables over those of the test.
            before: A command to run it under ("strace", ...).
            start: False only writes the configuration.
            sections: Options by section: `queue={"retry_s_min": 1}`.
        """
        self.folder = folder
        self.log_file = folder / "log"
        self.config_file = folder / "pymta.toml"
        self.ports: dict[str, int] = {}
        self.http_port = free_port()
        self.starts = 0
        self._routes: list[Table] = list(routes)
        self._certificates: list[Table] = list(certificates)
        relay = {"name": "relay", "trusted_networks": ["127.0.0.0/8"], **(listener or {})}
        self._listeners: list[dict[str, Any]] = [relay, *({**table} for table in listeners)]
        self._sections: dict[str, dict[str, Any]] = {
            "server": {"hostname": "mail.example.test", "data_folder": "data", "shutdown_grace_s": 5},
            "http": {"enabled": http, "address": f"127.0.0.1:{self.http_port}"},
            "log": {"file": "log", "format": "json"},
        }
        for name, options in sections.items():
            self._sections.setdefault(name, {}).update(options)
        self.data = folder / self._sections["server"]["data_folder"]
        self.control = ControlClient(self.data)
        self._environment = {"PYTHONPATH": str(PYTHON), "PYMTA_CONFIG": "", **(environment or {})}
        self._before = tuple(before)
        self._read_octets = 0
        self._events: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if policy is not None:
            self.write_policy(policy)
        self.write_config()
        if start:
            self._start_first()

    # ---- configuration -----------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where the listener "relay" is."""
        return self.ports["relay"]

    def configure(
        self,
        *,
        routes: Sequence[Table] | None = None,
        certificates: Sequence[Table] | None = None,
        **sections: Table,
    ) -> None:
        """Change what a later `reload` or `start` reads: lists of tables as a whole, options of *sections* one by one."""
        if certificates is not None:
            self._certificates = list(certificates)
        if routes is not None:
            self._routes = list(routes)
        for name, options in sections.items():
            self._sections.setdefault(name, {}).update(options)
        self.write_config()

    def write_policy(self, source: str) -> None:
        """(Over)write the policy script; `reload` makes a running server use it."""
        (self.folder / "policy.py").write_text(source, encoding="utf-8")
        self._sections.setdefault("policy", {})["script"] = "policy.py"

    def write_config(self) -> None:
        """Write the configuration file; each listener without a port gets one."""
        for table in self._listeners:
            if table["name"] not in self.ports:
                self.ports[table["name"]] = free_port()
            table["address"] = f"127.0.0.1:{self.ports[table['name']]}"
        lines = []
        for name, options in self._sections.items():
            lines += [f"[{name}]", *_options(options)]
        for listener in self._listeners:
            lines += ["[[listeners]]", *_options(listener)]
        for certificate in self._certificates:
            lines += ["[[certificates]]", *_options(certificate)]
        for route in self._routes:
            lines += ["[[routes]]", *_options(route)]
        self.config_file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    # ---- its life ----------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.program.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.program.process.poll() is None

    def start(self) -> None:
        """Start it, on the ports and data that it had, and wait until it is ready."""
        # Several workers are ready each for itself, and then all of them.
        ready_before = len(self.events("admin", action="ready", worker=""))
        self.starts += 1
        self.program = Program(
            *self._before, sys.executable, "-m", "pymta", "serve", "--config", self.config_file,
            output=self.folder / f"output-{self.starts}", environment=self._environment,
        )  # fmt: skip
        self._wait(
            lambda: len(self.events("admin", action="ready", worker="")) > ready_before or None,
            "the server is ready",
            20,
        )

    def terminate(self) -> None:
        """Send SIGTERM and return at once; `wait_ended` follows."""
        self.program.process.send_signal(signal.SIGTERM)

    def wait_ended(self, *, limit_s: float = STOP_S_MAX) -> int:
        """Its exit status, when it has ended."""
        return self.program.process.wait(limit_s)

    def stop(self) -> int:
        """
        End it as an operator would; its exit status. One that does not end is killed, and the test fails.

        The log is whole only then: while it runs, a line is written a moment after what it tells of.
        """
        if self.is_running:
            self.terminate()
        try:
            return self.wait_ended()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a power failure would (SIGKILL)."""
        self.program.kill()

    def restart(self) -> None:
        """`stop` and `start`."""
        assert 0 == self.stop(), self.program.text()
        self.start()

    def reload(self) -> None:
        """Read configuration and policy again; AssertionError where that was refused."""
        result = self.control.reload()
        assert result.ok, result.problem

    def rotate_log(self) -> None:
        """`reload` with the log begun anew, for tests that last; what was not read yet is gone."""
        self.log_file.unlink()
        self._read_octets = 0
        self.reload()

    # ---- what it did -------------------------------------------------------------------------------------------------

    def log(self) -> list[dict[str, Any]]:
        """All lines of the log so far, of all starts. Each is checked to be one JSON object."""
        if self.log_file.exists():
            with self.log_file.open("rb") as stream:
                stream.seek(self._read_octets)
                fresh = stream.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            self._read_octets += len(whole)
            for line in whole.splitlines():
                try:
                    self._events.append(json.loads(line))
                except ValueError:
                    # Only a kill in the middle of a write may leave half a line behind.
                    assert self.starts > 1, line
        return self._events

    def events(self, verb: str, **keys: object) -> list[dict[str, Any]]:
        """The lines with that verb and those keys."""
        return [
            event
            for event in self.log()
            if event["verb"] == verb and all(event.get(key, "") == value for key, value in keys.items())
        ]

    def wait_event(self, verb: str, *, limit_s: float = 20, **keys: object) -> dict[str, Any]:
        """The first line with that verb and those keys, when there is one."""
        return self.wait_events(1, verb, limit_s=limit_s, **keys)[0]

    def wait_events(
        self, count: int, verb: str, *, limit_s: float = 20, **keys: object
    ) -> list[dict[str, Any]]:
        """`events`, when there are at least *count*."""
        self._wait(
            lambda: len(self.events(verb, **keys)) >= count or None, f"{count} lines {verb} {keys}", limit_s
        )
        return self.events(verb, **keys)

    def queue(self, **query: Any) -> list[QueueRow]:
        """What is in its queue, as `pymta queue list` has it (`QueueQuery`)."""
        return self.control.list_messages(QueueQuery(**{"count_max": 10_000, **query}))

    def wait_queue_count(self, count: int, *, limit_s: float = 20) -> None:
        """Return when exactly *count* messages are in its queue."""
        self._wait(lambda: len(self.queue()) == count or None, f"{count} messages are in the queue", limit_s)

    def wait_queue_empty(self, *, limit_s: float = 20) -> None:
        """Return when no message is left."""
        self._wait(lambda: not self.queue(count_max=1) or None, "the queue is empty", limit_s)

    def memory_octets(self, *, peak: bool = False) -> int:
        """Resident memory of the process now, or the most that it ever had (VmRSS, VmHWM of proc(5))."""
        name = "VmHWM:" if peak else "VmRSS:"
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"process {self.pid} has no {name}")

    def processor_s(self) -> float:
        """Processor time of the process so far (proc(5), stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- talking to it -----------------------------------------------------------------------------------------------

    def client(self, *, listener: str = "relay", timeout_s: float = 20) -> smtplib.SMTP:
        """A connected smtplib client."""
        return smtplib.SMTP(
            "127.0.0.1", self.ports[listener], local_hostname="client.example.net", timeout=timeout_s
        )

    # ---- the rest ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.program.stop()  # the test has failed already
        else:
            assert 0 == self.stop() or self.was_killed, self.program.text()

    @property
    def was_killed(self) -> bool:
        """Whether the last end was a kill."""
        return self.program.process.returncode == -signal.SIGKILL

    def _start_first(self) -> None:
        """Start on ports that were free when they were picked; another process may have taken one since."""
        for attempt in range(1, STARTS_MAX + 1):
            try:
                self.start()
                return
            except AssertionError:
                if attempt == STARTS_MAX or "in use" not in self.program.text():
                    self.program.stop()
                    raise
                self.ports.clear()
                self.write_config()

    def _wait(self, condition: Callable[[], bool | None], what: str, limit_s: float) -> None:
        def asked() -> bool | None:
            value = condition()
            if not value:
                ended = self.program.process.poll()
                assert ended is None, f"ended with {ended} while waiting: {what}\n{self._told()}"
            return value

        try:
            wait_until(asked, what, limit_s=limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._told()}") from None

    def _told(self) -> str:
        lines = "\n".join(str(event) for event in self.log()[-40:])
        return f"{self.program.text()}\n{lines}\n{self._queue_told()}"

    def _queue_told(self) -> str:
        try:
            return "\n".join(str(row) for row in self.queue(count_max=10))
        except (OSError, ControlError, NotRunning) as error:
            # Whoever waits in vain may well have lost the server.
            return f"its queue cannot be asked: {error}"


def next_hop(port: int, domain: str = "*", **options: Any) -> dict[str, Any]:
    """A route of *domain* to 127.0.0.1:*port*, without TLS unless told."""
    return {"domain": domain, "next_hops": [f"127.0.0.1:{port}"], "tls": "none", **options}


def _options(table: Table) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in table.items()]


def _toml(value: object) -> str:
    """What JSON and TOML write alike, and the tables that they do not."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
