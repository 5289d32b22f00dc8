"""
`pymta send` and `sendmail` as other programs call them: a process, its standard input, its exit status, and what arrived.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pymta.sink.behaviour import Behaviours
from pymta.sink.server import Sink, SinkOptions
from tests.partners.ports import free_port
from tests.partners.postfix import Postfix
from tests.partners.waiting import wait_until_async

ROOT = Path(__file__).resolve().parents[2]
CALL = "import sys; sys.argv[0] = {name!r}; from pymta.cli import main; main()"
Send = Callable[..., Any]


class Server:
    """Our sink, and how `pymta send` is called to send to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "kept"
        self.sink: Sink
        self.port = 0

    async def start(self, **options: Any) -> None:
        self.sink = Sink(SinkOptions(folder=self.folder, **options))
        self.port = await self.sink.start()

    async def send(
        self, *arguments: str, octets: bytes = b"Subject: x\n\nbody\n", name: str = "sendmail"
    ) -> Any:
        return await asyncio.to_thread(send, self.port, *arguments, octets=octets, name=name)

    def kept(self) -> list[str]:
        """Each message, envelope lines on top."""
        return [
            path.read_bytes().decode("utf-8", "surrogateescape") for path in sorted(self.folder.glob("*.eml"))
        ]


def send(port: int, *arguments: str, octets: bytes = b"", name: str = "sendmail") -> Any:
    """Call it as *name*; a CompletedProcess with text."""
    command = [sys.executable, "-c", CALL.format(name=name), *(["send"] if name == "pymta" else [])]
    done = subprocess.run(
        [*command, "--no-config", "--server", f"127.0.0.1:{port}", *arguments],
        input=octets,
        capture_output=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()  # type: ignore[assignment]  # easier to read
    return done


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.sink.stop()
    await wait_until_async(lambda: not server.sink.connections, "the sink's connections are gone")


@pytest.mark.parametrize("name", ["sendmail", "pymta"])
async def test_a_message_goes_to_the_recipients_of_the_arguments(server: Server, name: str) -> None:
    """By either name; silence is success."""
    done = await server.send("a@x.test", "b@x.test,c@x.test", "root", name=name)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    (message,) = server.kept()
    recipients = re.findall(r"^X-Envelope-To: <(.*)>", message, re.MULTILINE)
    assert ["a@x.test", "b@x.test", "c@x.test", "root@mail.example.test"] == recipients
    assert message.endswith("\r\n\r\nbody\r\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-t", "-i"),
        ("-ti",),
        ("-t", "-oi", "-oem", "-odb"),
        ("-G", "-i", "-t", "-f", "ignored@x.test", "-r", "me@x.test"),
        ("-it", "-em", "-L", "tag", "-O", "Timeout=1m", "-U", "-n", "-m"),
        ("-bm", "-oi", "-t", "--"),
    ],
    ids=" ".join,
)
async def test_the_usual_options_are_taken(server: Server, arguments: tuple[str, ...]) -> None:
    """As mailers, cron and PHP call sendmail."""
    done = await server.send(*arguments, octets=b"To: A <a@x.test>\nBcc: b@x.test\nSubject: s\n\n.\nend\n")

    assert 0 == done.returncode, done.stderr
    (message,) = server.kept()
    assert ["a@x.test", "b@x.test"] == re.findall(r"^X-Envelope-To: <(.*)>", message, re.MULTILINE)
    assert "Bcc" not in message
    assert message.endswith("\r\n.\r\nend\r\n")


async def test_author_and_reverse_path_are_as_told(server: Server) -> None:
    """-f is both, where the message has no From; -F is the name."""
    await server.send("-f", "me@x.test", "-F", "J. Doe", "a@x.test")
    await server.send("-fme@x.test", "a@x.test", octets=b"From: other@x.test\n\n")
    await server.send("-f", "<>", "a@x.test")

    first, second, third = server.kept()
    assert first.startswith("X-Envelope-From: <me@x.test>")
    assert 'From: "J. Doe" <me@x.test>\r\n' in first
    assert second.startswith("X-Envelope-From: <me@x.test>")
    assert ["other@x.test"] == re.findall(r"^From: (.*)\r", second, re.MULTILINE)
    assert third.startswith("X-Envelope-From: <>")


async def test_without_i_a_lone_dot_ends_the_message(server: Server) -> None:
    """What follows is not read."""
    await server.send("a@x.test", octets=b"Subject: x\n\nbody\n.\nnot this\n")

    assert server.kept()[0].endswith("\r\nbody\r\n")


async def test_after_two_dashes_nothing_is_an_option(server: Server) -> None:
    """And, called as sendmail, nothing after the first recipient: an address that looks like an option is none."""
    for arguments in (("--", "-t"), ("a@x.test", "-f"), ("a@x.test", "--server=203.0.113.1:25")):
        done = await server.send(*arguments, octets=b"To: stranger@x.test\n\n")
        assert 0 == done.returncode or "is no" in done.stderr or "expected" in done.stderr, done.stderr

    assert all("X-Envelope-To: <stranger" not in message for message in server.kept())
    assert "X-Envelope-To: <-t@mail.example.test>" in server.kept()[0]


async def test_eight_bit_and_international_mail_goes_through(server: Server) -> None:
    """Octets as they are; an address that needs SMTPUTF8 gets it (RFC 6531)."""
    octets = "Subject: Grüße\n\nschöne\n".encode() + b"\xff\xfe\n"
    done = await server.send("-f", "jörg@bücher.example", "grå@x.test", octets=octets)

    assert 0 == done.returncode, done.stderr
    (message,) = server.kept()
    assert "X-Envelope-To: <grå@x.test>" in message
    assert message.encode("utf-8", "surrogateescape").endswith(
        octets.partition(b"\n\n")[2].replace(b"\n", b"\r\n")
    )


@pytest.mark.parametrize(
    ("arguments", "octets", "status"),
    [
        ((), b"x\n", 64),
        (("-t",), b"Subject: nobody\n\n", 64),
        (("--no-such-option", "a@x.test"), b"x\n", 64),
        (("-bp",), b"", 64),
        (("-bd",), b"", 64),
        (("-R", "some", "a@x.test"), b"x\n", 64),
        (("-N", "sometimes", "a@x.test"), b"x\n", 64),
        (("-f", "a@x.test,b@x.test", "c@x.test"), b"x\n", 64),
        (("a b@x.test",), b"x\n", 65),
        (("a@x.test\r\nRSET",), b"x\n", 65),
        (("-t",), b"To: <a@x.test\n\n", 65),
        (("-F", "x\nBcc: evil@x.test", "a@x.test"), b"x\n", 65),
        (("a@x.test",), b"nul \x00\n", 65),
    ],
)
async def test_what_is_wrong_has_its_exit_status_and_one_line(
    server: Server, arguments: tuple[str, ...], octets: bytes, status: int
) -> None:
    """And nothing is sent."""
    done = await server.send(*arguments, octets=octets)

    assert status == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    assert [] == server.kept()


@pytest.mark.parametrize(
    ("behaviours", "status"),
    [
        ({"stage": "rcpt", "refused_share": 1.0}, 77),
        ({"stage": "rcpt", "deferred_share": 1.0}, 75),
        ({"stage": "content", "deferred_share": 1.0}, 75),
        ({"stage": "connect", "deferred_share": 1.0}, 75),
        ({"stage": "connect", "refused_share": 1.0}, 75),
    ],
)
async def test_what_the_server_says_decides_the_exit_status(
    tmp_path: Path, behaviours: dict[str, Any], status: int
) -> None:
    """And is on standard error."""
    server = Server(tmp_path)
    await server.start(behaviours=Behaviours(**behaviours))
    done = await server.send("a@x.test")
    await server.sink.stop()

    assert status == done.returncode, done.stderr
    assert "sink: " in done.stderr


def test_nobody_there_is_a_reason_to_try_again() -> None:
    """75, as for a server that is busy; a name that does not exist is 68."""
    assert 75 == send(free_port(), "a@x.test", octets=b"x\n").returncode

    done = send(1, "--server", "no-such-host.invalid:25", "a@x.test", octets=b"x\n")
    assert done.returncode in (68, 75), done.stderr  # 75 where no DNS server answers at all


async def test_postfix_takes_it(start_postfix: Callable[..., Postfix], server: Server) -> None:
    """With the DSN parameters, which Postfix passes on, and refusals with its own reasons."""
    relay = await asyncio.to_thread(
        start_postfix, Postfix.next_hop, "example.test", refused={"no@example.test": "550 5.1.1 nobody"}
    )
    options = ("-N", "failure,delay", "-R", "hdrs", "-V", "an id+1")
    done = await asyncio.to_thread(send, relay.port, *options, "a@example.test", octets=b"Subject: x\n\nhi\n")
    assert 0 == done.returncode, done.stderr
    (message,) = await asyncio.to_thread(relay.wait_messages, 1)
    assert message.endswith(b"\n\nhi\n")

    done = await asyncio.to_thread(
        send, relay.port, "a@example.test", "no@example.test", octets=b"Subject: y\n\n"
    )
    assert 67 == done.returncode, done.stderr
    assert "no@example.test: 550 5.1.1" in done.stderr
    assert "a@example.test" not in done.stderr.replace("no@example.test", "")


# ---- -bs -----------------------------------------------------------------------------------------------------------

DIALOGUE = b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n"


@pytest.mark.parametrize("ending", [b"QUIT\r\n", b""], ids=["quit", "end of input"])
@pytest.mark.parametrize("by_file", [True, False])
async def test_smtp_on_standard_input_reaches_the_server(
    tmp_path: Path, server: Server, ending: bytes, by_file: bool
) -> None:
    """From a pipe or a file; every reply comes back before the end, with or without QUIT."""
    if by_file:
        file = tmp_path / "dialogue"
        file.write_bytes(DIALOGUE + ending)
        command = [sys.executable, "-c", CALL.format(name="sendmail"), "-bs", "--no-config"]
        with file.open("rb") as stream:
            done = await asyncio.to_thread(
                subprocess.run,
                [*command, "--server", f"127.0.0.1:{server.port}"],
                stdin=stream,
                capture_output=True,
                timeout=50,
                env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
            )
        said = done.stdout.decode()
    else:
        done = await server.send("-bs", octets=DIALOGUE + ending)
        said = done.stdout

    assert 0 == done.returncode
    codes = [line[:3] for line in said.splitlines() if line[3:4] == " "]
    assert ["220", "250", "250", "250", "354", "250", "221"] == codes
    assert server.kept()[0].endswith("Subject: x\r\n\r\nbody\r\n")


async def test_a_message_that_is_cut_off_is_not_completed(server: Server) -> None:
    """What comes to an end in its middle is not sent, and the exit status says so."""
    command = [sys.executable, "-c", CALL.format(name="sendmail"), "-bs", "--no-config"]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--server",
        f"127.0.0.1:{server.port}",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(DIALOGUE.partition(b"Subject")[0])
    async with asyncio.timeout(30):
        await process.stdout.readuntil(b"354")
        process.stdin.write(b"Subject: half\r\n\r\nbo\r\n")
        await process.stdin.drain()
        process.stdin.close()
        _, errors = await process.communicate()

    assert 65 == process.returncode
    assert b"middle of a message" in errors
    await wait_until_async(lambda: not server.sink.connections, "the connection is gone")
    assert [] == server.kept()
