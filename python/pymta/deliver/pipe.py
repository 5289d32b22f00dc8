"""
To a program on this host: procmail, maildrop, an archiver, a ticket system.

The program is an argument vector and no shell ever sees it; what an address holds is one argument or part of one, never
an option (attacks.md, row 10). Its time, its output and how many run at once are bounded. What it thinks of the message
is its exit status (sysexits.h).

Rule: only a status that is about this message or this recipient fails it. What looks like a mistake of the operator's or
a bug of the program's (not found, killed, an exception) waits for whoever mends it.
"""

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from typing import Final

from pymta._core import Address, QueuedMessage, Reply
from pymta.config.settings.local import PipeSettings
from pymta.deliver.content import unix_pieces

__all__ = ["PLACEHOLDERS", "arguments_of", "reply_of_status", "run_program"]

PLACEHOLDERS: Final = ("reverse_path", "forward_path", "local_part", "domain", "spool_id")

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_TEXT_OCTETS_MAX: Final = 200
# Between SIGTERM and SIGKILL.
_GRACE_S: Final = 2.0
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}

_TAKEN: Final = Reply(250, "2.0.0", "taken by the program")
_NO_ARGUMENT: Final = Reply(550, "5.1.3", "address cannot be handed to the program")
_TOO_LATE: Final = Reply(451, "4.3.0", "the program took too long, trying again later")
_NOT_STARTED: Final = Reply(451, "4.3.5", "the program cannot be started, trying again later")
_UNREADABLE: Final = Reply(451, "4.3.0", "local trouble, trying again later")

# sysexits.h, what is about the message: code, enhanced status, text where the program says nothing.
_FAILED: Final[Mapping[int, tuple[int, str, str]]] = {
    65: (554, "5.6.0", "the program did not like the message"),
    66: (554, "5.3.0", "the program did not find what it needs"),
    67: (550, "5.1.1", "no such address there"),
    68: (550, "5.1.2", "no such host there"),
    69: (554, "5.3.0", "the program does not take it"),
    73: (554, "5.2.0", "the program could not store it"),
    77: (550, "5.7.1", "the program refused it"),
}


def arguments_of(
    command: tuple[str, ...], message_id: str, reverse_path: str, forward_path: Address
) -> tuple[str, ...] | None:
    """
    The argument vector, with what stands in braces put in; None where that would make an option of an address.

    Behind an argument `--` nothing is an option. What is put in is not looked into for braces again.
    """
    values = {
        "reverse_path": reverse_path,
        "forward_path": str(forward_path),
        "local_part": forward_path.local_part,
        "domain": forward_path.domain,
        "spool_id": message_id,
    }
    made = []
    for argument in command:
        filled = _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), argument)
        if filled.startswith("-") and not argument.startswith("-") and "--" not in made:
            return None
        made.append(filled)
    return tuple(made)


def reply_of_status(status: int, output: bytes) -> Reply:
    """What an exit status means; negative is a signal."""
    if status == 0:
        return _TAKEN
    text = _first_line(output)
    if status in _FAILED:
        code, enhanced, usual = _FAILED[status]
        return Reply(code, enhanced, text or usual)
    what = f"signal {-status}" if status < 0 else f"status {status}"
    return Reply(451, "4.3.0", f"the program ended with {what}, trying again later")


async def run_program(
    command: tuple[str, ...], message: QueuedMessage, index: int, settings: PipeSettings
) -> Reply:
    """Run it for one recipient, the message on its standard input; the reply that its end means."""
    envelope = message.envelope
    forward_path = envelope.recipient(index).forward_path
    arguments = arguments_of(command, message.id, envelope.reverse_path_text, forward_path)
    if arguments is None:
        return _NO_ARGUMENT
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        return _NOT_STARTED
    reading = asyncio.ensure_future(_read(process, settings.output_octets_max))
    try:
        async with asyncio.timeout(settings.seconds_max):
            await _feed(process, message, index)
            output = await reading
            status = await process.wait()
    except TimeoutError:
        return _TOO_LATE
    except OSError:
        return _UNREADABLE
    finally:
        reading.cancel()
        await _end(process)
    return reply_of_status(status, output)


async def _feed(process: asyncio.subprocess.Process, message: QueuedMessage, index: int) -> None:
    stdin = process.stdin
    assert stdin is not None, "asked for"
    try:
        for piece in unix_pieces(message, index):
            stdin.write(piece)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError, RuntimeError):
        pass  # it has read what it wanted (uvloop: "the handler is closed"); its status says the rest
    stdin.close()


async def _read(process: asyncio.subprocess.Process, octets_max: int) -> bytes:
    """The beginning of what it prints; the rest is read and forgotten, so that it never blocks."""
    assert process.stdout is not None, "asked for"
    kept = b""
    while piece := await process.stdout.read(8192):
        kept += piece[: octets_max - len(kept)]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """All that it started ends with it."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        if process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), _GRACE_S)
            except TimeoutError:
                continue


def _first_line(output: bytes) -> str:
    line = output.lstrip().partition(b"\n")[0].decode("ascii", "replace")
    clean = "".join(c if c.isascii() and c.isprintable() else "?" for c in line.strip())
    return clean[:_TEXT_OCTETS_MAX]
