"""
Certificates from a real authority (Debian's pebble), as clients get to see them: the first, the next, and none.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.partners.pebble import Pebble
from tests.partners.pymta import Pymta

NAME = "mail.example.test"


@pytest.fixture
def start_pebble(tmp_path: Path) -> Iterator[Callable[..., Pebble]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Pebble(tmp_path / "pebble", **options))


def acme(pebble: Pebble, **more: Any) -> dict[str, Any]:
    return {
        "names": [NAME],
        "directory_url": pebble.directory_url,
        "agree_to_terms": True,
        "ca_file": pebble.ca_file,
        "addresses": [f"127.0.0.1:{pebble.http_port}"],
        "retry_s_min": 1,
        "retry_s_max": 2,
        **more,
    }


def shown(server: Pymta, pebble: Pebble, name: str = NAME) -> dict[str, Any]:
    """What a client that trusts the authority is shown after STARTTLS; `ssl.SSLError` where it is not satisfied."""
    context = ssl.create_default_context(cadata=pebble.root())
    with server.client() as client:
        client.ehlo()
        client._host = name  # type: ignore[attr-defined] # what smtplib asks for as server name
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert()
        assert certificate is not None
        return certificate


def test_a_certificate_by_http(
    start_pymta: Callable[..., Pymta], start_pebble: Callable[..., Pebble]
) -> None:
    """
    A server without any certificate has one a moment after its start, and clients that verify are satisfied.
    """
    pebble = start_pebble()
    server = start_pymta(listener={"tls": "starttls"}, acme=acme(pebble))

    issued = server.wait_event("admin", action="certificate issued")

    assert NAME in issued["detail"]
    assert (("DNS", NAME),) == shown(server, pebble)["subjectAltName"]
    assert ["acme account", "acme order", "acme challenge", "certificate issued"] == [
        event["action"]
        for event in server.events("admin")
        if "acme" in event["action"] or "cert" in event["action"]
    ]
