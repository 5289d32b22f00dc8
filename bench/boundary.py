"""
What crosses between Python and Rust for one message, and what a crossing costs.

    python -m bench.boundary [--messages N]

A whole server takes messages and hands them on while every method, attribute and function of `pymta._core` is counted. Each
kind of message is sent N and then 2 N times to servers of their own; half the difference is what N messages cost, without
starts and without what is once a second. Exit status 1 where a message costs more than its budget, which is what
ARCHITECTURE.md promises: O(commands + chunks), never O(header fields) or O(recipients²). Not counted is what Rust gives back
and what is made by calling a type.
"""

import atexit
import functools
import json
import smtplib
import subprocess
import sys
import tempfile
import timeit
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench.contestants import pymta_configuration
from bench.processes import end, wait_listening
from bench.relay import SmtpSink, wait_all_arrived

MESSAGES = 10
LINE = b"x" * 70 + b"\r\n"

# (recipients, header fields, octets) → crossings that a message may cost: a tenth above what was counted. How many chunks a
# large message comes in is the kernel's choice, so its budget has room for every chunk the sender's socket may cut.
BUDGETS = {
    (1, 5, 4096): 120,
    (1, 50, 4096): 120,
    (10, 50, 4096): 380,
    (20, 50, 4096): 670,
    (10, 50, 1 << 20): 500,
}


def count_crossings(told: Path) -> None:
    """From now on every use of `pymta._core` is counted; at the exit of the process *told* gets the numbers."""
    from pymta import _core

    counts: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function, assigned=())
        def crossing(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **named)

        return crossing

    for outer, thing in tuple(vars(_core).items()):
        if not isinstance(thing, type):
            if callable(thing):
                setattr(_core, outer, counted(outer, thing))
            continue
        for inner, member in tuple(vars(thing).items()):
            if inner.startswith("__"):
                continue
            name = f"{outer}.{inner}"
            if type(member).__name__ == "getset_descriptor":
                setattr(thing, inner, property(counted(name, member.__get__)))
            elif type(member).__name__ == "method_descriptor":
                setattr(thing, inner, counted(name, member))
    atexit.register(lambda: told.write_text(json.dumps(counts), encoding="utf-8"))


def crossings(recipients: int, fields: int, octets: int, messages: int) -> Counter[str]:
    """All crossings of one server's life in which it relays so many messages."""
    with tempfile.TemporaryDirectory(prefix="pymta-boundary-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the sink runs as nobody
        sink = SmtpSink(folder)
        text, port = pymta_configuration(folder, sink.port)
        configuration, told = folder / "pymta.toml", folder / "counts"
        configuration.write_text(text, encoding="utf-8")
        with (folder / "output").open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "bench.boundary", "--serve", configuration, "--told", told],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_listening(port, server)
            with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test") as client:
                for _ in range(messages):
                    forward_paths = [f"reader{number}@example.test" for number in range(recipients)]
                    client.sendmail("author@example.test", forward_paths, content(fields, octets))
            wait_all_arrived(sink, messages, "pymta")
        finally:
            end(server)
            sink.stop()
        return Counter(json.loads(told.read_text(encoding="utf-8")))


def content(fields: int, octets: int) -> bytes:
    """A message with so many header fields, of about so many octets."""
    header = b"".join(b"X-Field-%d: value\r\n" % number for number in range(fields))
    return header + b"\r\n" + LINE * ((octets - len(header)) // len(LINE))


def costs_ns() -> dict[str, float]:
    """What crossings of several kinds cost, the cheapest of five tries each."""
    from pymta._core import Reply, ServerSession, ServerSettings

    session = ServerSession(ServerSettings(hostname="pymta.test"), secure=False)
    noop = b"NOOP\r\n"

    def command() -> None:
        session.receive(noop)
        session.next_event()
        session.output()

    kinds: dict[str, Callable[[], object]] = {
        "an empty Python function": lambda: None,
        "an attribute": lambda: session.standing,
        "a method that has nothing to give": session.next_event,
        "an object with texts": lambda: Reply(250, "2.0.0", "queued as 1m89cer1k0200"),
        "a command and its answer (three)": command,
    }
    return {
        what: min(timeit.repeat(kind, number=2_000, repeat=5)) / 2_000 * 1e9 for what, kind in kinds.items()
    }


def measure(messages: int) -> bool:
    """Print what was counted; whether all is within its budget."""
    is_kept = True
    for (recipients, fields, octets), budget in BUDGETS.items():
        few = crossings(recipients, fields, octets, messages)
        many = crossings(recipients, fields, octets, 2 * messages)
        many.subtract(few)
        each = sum(many.values()) / messages
        is_kept = is_kept and each <= budget
        click.echo(
            f"{recipients:2} recipients, {fields:2} fields, {octets:9,} octets: {each:6.1f} crossings, at most {budget}"
        )
    click.echo("of the last: " + ", ".join(f"{name} {n / messages:.1f}" for name, n in many.most_common(12)))
    for what, cost_ns in costs_ns().items():
        click.echo(f"{what:40} {cost_ns:6.0f} ns")
    return is_kept


@click.command(help=__doc__)
@click.option("--messages", default=MESSAGES, help="How many of each kind.")
@click.option("--serve", type=click.Path(path_type=Path), hidden=True)
@click.option("--told", type=click.Path(path_type=Path), hidden=True)
def main(messages: int, serve: Path | None, told: Path | None) -> None:
    if serve is None or told is None:
        sys.exit(0 if measure(messages) else 1)
    count_crossings(told)
    from pymta.cli import command_line  # after its Rust is counted

    command_line(["serve", "--config", str(serve)])


if __name__ == "__main__":
    main()
