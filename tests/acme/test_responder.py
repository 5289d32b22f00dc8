"""
What faces everybody: it answers challenges, nothing else, and nobody holds it up.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from pymta.acme import responder as module
from pymta.acme.challenges import Challenges
from pymta.acme.responder import Responder, bind
from pymta.config.values import Endpoint
from pymta.tls.challenge import PROTOCOL, TlsChallenges
from tests.partners.waiting import wait_until_async

TOKEN, PROOF = "dG9rZW4_-", "dG9rZW4_-.thumbprint"
PATH = f"/.well-known/acme-challenge/{TOKEN}"


class Place:
    def __init__(self, folder: Path) -> None:
        self.challenges = Challenges(folder)
        self.challenges.clear()
        (listening,) = bind([Endpoint("127.0.0.1", 0)])
        self.port: int = listening.getsockname()[1]
        self.responder = Responder(
            [listening], http_folder=self.challenges.http_folder, tls=TlsChallenges(folder)
        )

    async def say(self, *said: bytes) -> bytes:
        """All that is answered until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in said:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    await made.responder.use("http-01")
    yield made
    made.responder.close()


def request(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: mail.example.test\r\n\r\n".encode("latin-1")


async def test_a_challenge_is_answered_while_it_is_there(place: Place) -> None:
    file = place.challenges.put_http(TOKEN, PROOF)

    whole = await place.say(request(PATH))
    octets = [bytes((octet,)) for octet in request(PATH)]
    in_pieces = await place.say(*octets)
    head = await place.say(request(PATH, "HEAD"))
    file.unlink()
    gone = await place.say(request(PATH))

    for said in (whole, in_pieces):
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"\r\n\r\n" + PROOF.encode())
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    assert gone.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/.well-known/acme-challenge/",
        f"/.well-known/acme-challenge/../http-01/{TOKEN}",
        f"/.well-known/acme-challenge/%2e%2e/http-01/{TOKEN}",
        f"{PATH}/",
        f"{PATH}?x",
        f"//{PATH}",
        "/.well-known/acme-challenge/../../account.key",
        "/.well-known/acme-challenge/" + "a" * 300,
        f"http://elsewhere{PATH}",
    ],
)
async def test_nothing_else_is_there(place: Place, target: str) -> None:
    place.challenges.put_http(TOKEN, PROOF)

    assert (await place.say(request(target))).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "said",
    [
        b"EHLO client.example.net\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000,
    ],
)
async def test_who_speaks_no_http_is_cut(place: Place, said: bytes) -> None:
    assert b"200" not in await place.say(said)


async def test_who_says_nothing_is_cut(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_S_MAX", 0.05)

    assert b"" == await place.say(b"GET ")


async def test_many_who_say_nothing_hold_up_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are cut."""
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 3)
    place.challenges.put_http(TOKEN, PROOF)
    silent = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(10)]

    said = await place.say(request(PATH))

    assert said.startswith(b"HTTP/1.1 200 ")
    assert 3 >= len(place.responder._open)
    for _, writer in silent:
        writer.close()


def shake_hands(port: int, name: str, protocols: list[str]) -> tuple[str | None, bytes]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.selected_alpn_protocol(), secured.getpeercert(binary_form=True) or b""


async def test_by_tls_the_handshake_is_the_answer(place: Place) -> None:
    place.challenges.put_tls("mail.example.test", PROOF)
    await place.responder.use("tls-alpn-01")

    protocol, certificate = await asyncio.to_thread(shake_hands, place.port, "Mail.Example.test", [PROTOCOL])

    assert PROTOCOL == protocol
    # RFC 8737 §3: the extension is critical and holds an octet string of 32.
    assert b"\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x1f\x01\x01\xff\x04\x22\x04\x20" in certificate
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.to_thread(shake_hands, place.port, "other.example.test", [PROTOCOL])


async def test_who_does_not_shake_hands_is_counted_and_cut(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 3)
    place.challenges.put_tls("mail.example.test", PROOF)
    await place.responder.use("tls-alpn-01")
    silent = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(10)]

    for reader, _ in silent[:7]:  # the oldest
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await reader.read()
    assert 3 == len(place.responder._open)
    protocol, _ = await asyncio.to_thread(shake_hands, place.port, "mail.example.test", [PROTOCOL])

    assert PROTOCOL == protocol
    for _, writer in silent:
        writer.transport.abort()
    await wait_until_async(lambda: not place.responder._open, "nobody counts who has gone within a handshake")


async def test_without_descriptors_it_waits_and_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    place.challenges.put_tls("mail.example.test", PROOF)
    await place.responder.use("tls-alpn-01")
    (listening,) = place.responder._shaking_hands
    tried: list[int] = []

    class NoneLeft:
        fileno = staticmethod(listening.fileno)
        close = staticmethod(listening.close)

        def accept(self) -> object:
            tried.append(1)
            if len(tried) < 3:
                raise OSError(errno.EMFILE, "too many open files")
            return listening.accept()

    instead = cast(socket.socket, NoneLeft())
    place.responder._shaking_hands[:] = [instead]
    asyncio.get_running_loop().remove_reader(listening.fileno())
    place.responder._accept_again(instead, place.responder._context())

    protocol, _ = await asyncio.to_thread(shake_hands, place.port, "mail.example.test", [PROTOCOL])

    assert PROTOCOL == protocol


def test_challenges_are_kept_where_no_folder_was_made_at_the_start(tmp_path: Path) -> None:
    """Names may come with a reload."""
    challenges = Challenges(tmp_path)

    files = [challenges.put_http(TOKEN, PROOF), challenges.put_tls("mail.example.test", PROOF)]

    for file in files:
        assert file.is_file()
        assert [0o700, 0o700] == [stat.S_IMODE(folder.stat().st_mode) for folder in file.parents[:2]]


def test_a_port_that_is_taken_is_named() -> None:
    (taken,) = bind([Endpoint("127.0.0.1", 0)])
    port = taken.getsockname()[1]
    with taken, pytest.raises(OSError, match=f"127.0.0.1:{port}"):
        bind([Endpoint("127.0.0.1", port)])
