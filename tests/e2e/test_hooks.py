"""
Each hook over a socket, plain and asynchronous: what it says is what the client hears, and what it does not say changes
nothing.
"""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.attacks.wire import Wire, codes
from tests.e2e.our_sink import OurSink
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta

# `later` is what makes the asynchronous ones wait; the plain ones have neither it nor `async`.
POLICY = """
    import asyncio
    from pymta.policy import *

    class Odd(BaseException):
        "Not an error that anybody catches by accident."

    async connect(session):
        later
        return refuse("554 5.7.1 not here") if session.listener.name == "closed" else None

    async hello(session, name):
        later
        if name == "odd.example":
            raise Odd("it happens")
        return defer("450 4.7.0 not now") if name == "evil.example" else accept()

    async starttls(session):
        later
        return defer("454 4.7.0 no TLS for you") if session.hello_name == "clear.example" else None

    async mail(session, reverse_path, parameters):
        later
        if reverse_path is None:
            return None
        return refuse("550 5.7.1 not from you") if reverse_path.local_part == "evil" else accept()

    async rcpt(session, forward_path):
        later
        return refuse("550 5.1.1 not to them") if forward_path.local_part == "evil" else None

    async message(session, message):
        later
        message.add_field("X-Seen", "yes")
        return defer("451 4.7.1 not this") if message.field("Subject") == "evil" else None

    async route(message, domain):
        later
        if domain == "nowhere.test":
            return refuse("550 5.4.4 no way there")
        return RouteChoice(next_hop="127.0.0.1:SINK", tls=TlsMode.NONE)
"""


def policy(kind: str, sink: OurSink) -> str:
    """The script with plain or asynchronous hooks."""
    is_async = kind == "async"
    source = dedent(POLICY).replace("SINK", str(sink.port))
    source = source.replace("\nasync ", "\nasync def " if is_async else "\ndef ")
    return source.replace("    later\n", "    await asyncio.sleep(0.001)\n" if is_async else "")


@pytest.fixture(params=["plain", "async"])
def server(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    authority: CertificateAuthority,
    our_sink: OurSink,
    start_pymta: Callable[..., Pymta],
) -> Pymta:
    issued = authority.issue("mail.example.test")
    tls = {"tls": "starttls", "certificate_file": issued.certificate_file, "key_file": issued.key_file}
    return start_pymta(
        trouble_expected=True,
        listener=tls,
        listeners=[{"name": "closed"}],
        policy=policy(request.param, our_sink),
    )


def test_a_refused_client_hears_so_instead_of_a_greeting(server: Pymta) -> None:
    with Wire(server.ports["closed"], greeted=False) as wire:
        wire.send("NOOP\r\nQUIT\r\n")
        assert "554 not here" == wire.reply()

    assert "connect" == server.wait_event("refuse")["stage"]


def test_each_command_hears_its_hook_also_when_pipelined(server: Pymta, our_sink: OurSink) -> None:
    with Wire(server.port) as wire:
        wire.send(
            "EHLO evil.example\r\nEHLO clear.example\r\nNOOP\r\n",
            "MAIL FROM:<evil@example.net>\r\nMAIL FROM:<a@example.net>\r\n",
            "RCPT TO:<evil@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n",
        )
        replies = [wire.reply() for _ in range(8)]
        wire.send("Subject: evil\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
        replies += [wire.reply() for _ in range(4)]
        wire.send("Subject: good\r\n\r\nx\r\n.\r\nQUIT\r\n")
        replies += [wire.reply() for _ in range(2)]

    said = ["450", "250", "250 2.0.0", "550 5.7.1", "250 2.1.0", "550 5.1.1", "250 2.1.5", "354"]
    said += ["451 4.7.1", "250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "221 2.0.0"]
    assert said == codes(replies)
    (kept,) = our_sink.wait(1)
    assert b"X-Seen: yes\r\n" in kept.content
    server.wait_queue_empty()


def test_a_handshake_may_be_put_off(server: Pymta, authority: CertificateAuthority) -> None:
    with Wire(server.port) as wire:
        assert "250" == wire.ask("EHLO clear.example")[:3]
        assert "454 4.7.0 no TLS for you" == wire.ask("STARTTLS")
    with server.client() as client:
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        context.check_hostname = False
        assert 220 == client.starttls(context=context)[0]
        assert 250 == client.ehlo()[0]


def test_a_route_may_be_refused(server: Pymta) -> None:
    with server.client() as client:
        client.sendmail("a@example.net", ["b@nowhere.test"], "Subject: x\r\n\r\nx\r\n")

    attempt = server.wait_event("attempt", forward_path="b@nowhere.test")
    assert ("failed", "550 5.4.4 no way there") == (attempt["outcome"], attempt["reply"])


def test_what_is_no_error_at_all_ends_one_session(server: Pymta) -> None:
    """
    A hook can raise what no handler of errors sees; the client gets its 421, and the next one is served.
    """
    with Wire(server.port) as wire:
        assert "421" == wire.ask("EHLO odd.example")[:3]
        assert [] == wire.rest()
    with Wire(server.port) as wire:
        assert "250" == wire.ask("EHLO even.example")[:3]

    assert "it happens" in server.wait_event("trouble")["error"]


@pytest.fixture(autouse=True)
def no_other_trouble(request: pytest.FixtureRequest, server: Pymta) -> Iterator[None]:
    """But that of the hook whose trouble is meant."""
    yield
    assert [] == [event for event in server.events("trouble") if "it happens" not in event["error"]]
