"""
Holds many connections that have said EHLO and nothing since: `python -m bench.idle_clients PORT COUNT clear|tls`.

Prints `held` when all of them are, and holds them until it is ended or its input is closed. A process of its own, so that
its memory is not counted.
"""

import asyncio
import resource
import ssl
import sys

import uvloop

AT_ONCE = 50


async def reply(reader: asyncio.StreamReader) -> bytes:
    """The last line of a reply."""
    while True:
        line = await asyncio.wait_for(reader.readline(), 60)
        if line[3:4] != b"-":
            return line


async def connect(port: int, context: ssl.SSLContext | None, turn: asyncio.Semaphore) -> asyncio.StreamWriter:
    """One client that was greeted and has greeted."""
    async with turn:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        greeting = await reply(reader)
        if not greeting.startswith(b"220"):
            raise SystemExit(f"not greeted: {greeting!r}")
        commands = [b"EHLO idle.example.test\r\n"] + ([b"STARTTLS\r\n"] if context else [])
        for command in commands:
            writer.write(command)
            answer = await reply(reader)
            if not answer.startswith(b"2"):
                raise SystemExit(f"{command!r} was answered with {answer!r}")
        if context is not None:
            await writer.start_tls(context)
            writer.write(b"EHLO idle.example.test\r\n")
            await reply(reader)
        return writer


async def main(port: int, count: int, kind: str) -> None:
    """Connect, say so, wait."""
    context = None
    if kind == "tls":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    turn = asyncio.Semaphore(AT_ONCE)
    writers = await asyncio.gather(*(connect(port, context, turn) for _ in range(count)))
    print("held", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for writer in writers:
        writer.transport.abort()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
