"""
Let's Encrypt's pebble: an authority that speaks ACME, made for tests, on ports of its own; and the DNS server that it asks,
for which every name is on this host.

Everything is in one folder. It forgets all at its end: accounts, orders, the key that it signs with.
"""

import json
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ca import CertificateAuthority
from tests.partners.ports import free_port
from tests.partners.program import Program

__all__ = ["Pebble"]


class Pebble:
    """A running authority; a context manager that stops it."""

    def __init__(
        self,
        folder: Path,
        *,
        http_port: int | None = None,
        tls_port: int | None = None,
        customers: Mapping[str, str] | None = None,
        **variables: str,
    ) -> None:
        """
        Start it.

        Args:
            folder: Of this instance's own; made where it is missing.
            http_port: Where it comes to for http-01, instead of port 80.
            tls_port: Where it comes to for tls-alpn-01, instead of port 443.
            customers: Secrets by key identifier: only those get accounts.
            variables: Of its environment, such as PEBBLE_WFE_NONCEREJECT.
        """
        folder.mkdir(parents=True, exist_ok=True)
        authority = CertificateAuthority(folder)
        ours = authority.issue("127.0.0.1", "localhost")
        self.ca_file = authority.ca_file
        """Who vouches for the directory itself, not for what is issued."""
        self.http_port, self.tls_port = http_port or free_port(), tls_port or free_port()
        self.port, self._management_port, dns_port = free_port(), free_port(), free_port()
        self.directory_url = f"https://127.0.0.1:{self.port}/dir"
        self._config = folder / "pebble.json"
        self._config.write_text(
            json.dumps(
                {
                    "pebble": {
                        "listenAddress": f"127.0.0.1:{self.port}",
                        "managementListenAddress": f"127.0.0.1:{self._management_port}",
                        "certificate": str(ours.certificate_file),
                        "privateKey": str(ours.key_file),
                        "httpPort": self.http_port,
                        "tlsPort": self.tls_port,
                        "externalAccountBindingRequired": customers is not None,
                        "externalAccountMACKeys": dict(customers or {}),
                    }
                }
            ),
            encoding="utf-8",
        )
        self._folder = folder
        self._dns_port = dns_port
        self._variables = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_AUTHZREUSE": "0",
            "PEBBLE_WFE_NONCEREJECT": "0",
            **variables,
        }
        self._dns = Program(
            "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "",
            "-tlsalpn01", "", "-dns01", f"127.0.0.1:{dns_port}", "-management", f"127.0.0.1:{free_port()}",
            output=folder / "dns-output",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """(Re)start it, on the ports that it had; it has forgotten everything."""
        self.program = Program(
            "pebble", "-config", self._config, "-dnsserver", f"127.0.0.1:{self._dns_port}", "-strict", "true",
            output=self._folder / "output", environment=self._variables,
        )  # fmt: skip
        self.program.wait_listening(self.port)
        self.program.wait_listening(self._management_port)
        self._dns.wait_listening(self._dns_port)

    def stop(self) -> None:
        """It is away."""
        self.program.stop()

    def root(self) -> str:
        """The certificate, in PEM, that vouches for what it issues."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f"https://127.0.0.1:{self._management_port}/roots/0"
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return str(answer.read().decode("ascii"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()
        self._dns.stop()
