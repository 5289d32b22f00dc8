"""A script in a real server: what its hooks say is what clients hear, and a reload is for the sessions after it."""

import json
import signal
import smtplib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.waiting import wait_until
from tests.policy.scripts import write

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
    import asyncio
    from words import NO
    from pymta.policy import *

    async def hello(session, name):
        await asyncio.sleep(0)
        return refuse(NO) if name == "evil.example" else None

    def mail(session, reverse_path, parameters):
        session.state["declared"] = parameters.size_octets

    def rcpt(session, forward_path):
        if forward_path.local_part == "boom":
            1 / 0
        if forward_path.local_part == "slow":
            return never()

    async def never():
        await asyncio.Event().wait()

    def message(session, message):
        message.add_field("X-Seen", f"{session.hello_name} {session.state['declared']}")
        message.tag(subject=message.field("Subject") or "")
        match message.field("Subject"):
            case "hold": return hold(reason="asked for")
            case "discard": return discard(reason="asked for")
            case "none": message.remove_recipient("user@example.org")

    def route(message, domain):
        if message.tags.get("subject") == "unroutable":
            return refuse("550 5.4.4 no way there")
        return RouteChoice(transport="discard")

    def delivered(attempt):
        with open(f"{__file__}.delivered", "a") as notes:
            notes.write(f"{attempt.forward_path} {attempt.tags.get('subject')}\\n")

    def failed(attempt):
        with open(f"{__file__}.failed", "a") as notes:
            notes.write(f"{attempt.forward_path} {attempt.reply}\\n")
"""


class Served:
    """`pymta serve` with a script, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.script = write(folder, SCRIPT)
        write(folder, "NO = '550 5.7.1 not you'\n", "words.py")
        config = folder / "pymta.toml"
        config.write_text(
            f"""
            [server]
            hostname = "mail.example.test"
            data_folder = "data"
            [[listeners]]
            name = "relay"
            address = "127.0.0.1:{self.port}"
            trusted_networks = ["127.0.0.0/8"]
            [policy]
            script = "policy.py"
            hook_s_max = 1
            [log]
            file = "log"
            format = "json"
            """
        )
        self.program = Program(
            sys.executable, "-m", "pymta", "serve", "--config", config,
            output=folder / "output",
            environment={"PYTHONPATH": str(ROOT / "python"), "PYMTA_CONFIG": ""},
        )  # fmt: skip

    def wait_ready(self) -> None:
        self.program.wait_listening(self.port)
        wait_until(lambda: any(e.get("action") == "ready" for e in self.events()), "the server is ready")

    def events(self) -> list[dict[str, Any]]:
        log = self.folder / "log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def notes(self, name: str) -> list[str]:
        path = Path(f"{self.script}.{name}")
        return path.read_text().splitlines() if path.exists() else []

    def client(self) -> smtplib.SMTP:
        try:
            return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example.net", timeout=10)
        except OSError as error:
            ended = self.program.process.poll()
            raise AssertionError(
                f"{error}, ended: {ended}\n{self.program.text()}\n{self.events()}"
            ) from error

    def reload(self, what: str) -> None:
        before = len(self.events())
        self.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("reload" in str(e) for e in self.events()[before:]), what)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    running = Served(tmp_path)
    try:
        running.wait_ready()
        yield running
    finally:
        running.program.stop()


def send(client: smtplib.SMTP, subject: str) -> None:
    client.sendmail("author@example.net", ["user@example.org"], f"Subject: {subject}\r\n\r\nbody\r\n")


def test_clients_hear_what_the_hooks_say(served: Served) -> None:
    """
    Plain and async hooks, trouble and time limits: each costs its command and nothing else.
    """
    with served.client() as client:
        assert (550, b"not you") == client.ehlo("evil.example")
        client.ehlo()
        client.mail("author@example.net", ["SIZE=100"])
        assert 451 == client.rcpt("boom@example.org")[0]
        assert 451 == client.rcpt("slow@example.org")[0]
        assert 250 == client.rcpt("user@example.org")[0]
        assert 250 == client.data("Subject: kept\r\n\r\nbody\r\n")[0]
        for subject in ("hold", "discard", "none", "unroutable"):
            send(client, subject)
    # The DSN about the unroutable one is told last; the log is written a moment after what it tells of.
    wait_until(lambda: 3 == [e["verb"] for e in served.events()].count("attempt"), "three attempts are over")
    causes = [e["error"] for e in served.events() if e["verb"] == "trouble"]
    accepted = [e for e in served.events() if e["verb"] == "accept" and "peer" in e]

    assert ["user@example.org kept", "author@example.net None"] == served.notes("delivered")
    assert ["user@example.org 550 5.4.4 no way there"] == served.notes("failed")
    assert ["ZeroDivisionError: division by zero", "took longer than 1 s"] == causes
    # kept, hold, unroutable: what is discarded never reaches the spool, and its line says why
    assert 3 == len([line for line in accepted if line["spool_id"]])
    assert all(line["discarded"] for line in accepted if not line["spool_id"])
    assert [True] == [e["held"] for e in accepted if e.get("held")]


def test_a_reload_is_for_later_sessions(served: Served) -> None:
    """
    The neighbour file is read again, too; a script that does not import is refused and the one before stays.
    """
    with served.client() as before:
        assert 250 == before.ehlo("client.example.net")[0]
        write(served.folder, "NO = '554 5.7.1 still not you'\n", "words.py")
        served.reload("the reload is done")
        assert (550, b"not you") == before.ehlo("evil.example")
        with served.client() as after:
            assert (554, b"still not you") == after.ehlo("evil.example")
    write(served.folder, "import no_such_module\n")
    served.reload("the reload is refused")
    with served.client() as client:
        assert (554, b"still not you") == client.ehlo("evil.example")

    assert any("policy.py:1: ModuleNotFoundError" in str(event) for event in served.events())
