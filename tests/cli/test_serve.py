"""
A real server process through its faces: command line, control socket, HTTP, signals, log.

A message goes from smtplib through it to a sink. What mail does is tested elsewhere; here it is what operators see.
"""

import json
import os
import re
import signal
import smtplib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.waiting import wait_until

PYTHON = str(Path(__file__).parents[2] / "python")
ENVIRONMENT = {"PYTHONPATH": PYTHON, "PYMTA_CONFIG": ""}


class Running:
    """`pymta serve` with ports of its own, its log in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smtp_port, self.sink_port, self.http_port = free_port(), free_port(), free_port()
        self.config = folder / "pymta.toml"
        self.log = folder / "log"

    def __enter__(self) -> "Running":
        self.log.write_text("")
        self.write_config()
        self.program = Program(
            sys.executable, "-m", "pymta", "serve", "--config", self.config,
            output=self.folder / "output", environment=ENVIRONMENT,
        )  # fmt: skip
        self.wait_for("admin", action="ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def write_config(self, more: str = "") -> None:
        self.config.write_text(
            f"""
            [server]
            hostname = "mail.example.test"
            data_folder = "data"
            shutdown_grace_s = 5
            [[listeners]]
            name = "relay"
            address = "127.0.0.1:{self.smtp_port}"
            trusted_networks = ["127.0.0.0/8"]
            [[routes]]
            domain = "nowhere.example"
            next_hops = ["127.0.0.1:1"]
            [[routes]]
            domain = "*"
            next_hops = ["127.0.0.1:{self.sink_port}"]
            tls = "none"
            [sink]
            address = "127.0.0.1:{self.sink_port}"
            [http]
            address = "127.0.0.1:{self.http_port}"
            [log]
            file = "log"
            format = "json"
            {more}
            """
        )

    def events(self, verb: str) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [event for event in map(json.loads, lines) if event["verb"] == verb]

    def wait_for(self, verb: str, **keys: object) -> dict[str, Any]:
        """The first event with that verb and those keys; the log is the interface."""

        def found() -> dict[str, Any] | None:
            for event in self.events(verb):
                if all(event.get(key) == value for key, value in keys.items()):
                    return event
            ended = self.program.process.poll()
            assert ended is None, f"ended with {ended}: {self.program.text()}{self.log.read_text()}"
            return None

        return wait_until(found, f"{verb} with {keys}")

    def send(self, forward_path: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as client:
            client.sendmail("a@example.net", [forward_path], "Subject: hello\r\n\r\nhello\r\n")

    def pymta(self, *arguments: str, typed: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pymta", *arguments, "--config", str(self.config)],
            input=typed,
            capture_output=True,
            text=True,
            env={**os.environ, **ENVIRONMENT},
            timeout=30,
        )
        assert code == done.returncode, done.stderr
        return done.stdout or done.stderr

    def messages(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.pymta("queue", "list", "--json"))
        return rows

    def stop(self) -> int:
        self.program.process.send_signal(signal.SIGTERM)
        return self.program.process.wait(20)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path) as server:
        yield server


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def test_a_message_can_be_followed_from_door_to_sink(running: Running) -> None:
    """
    One spool id through every line of the log, the metrics and the files.
    """
    running.send("b@example.org")
    accept = running.wait_for("accept")
    spool_id = accept["spool_id"]
    attempt = running.wait_for("attempt", spool_id=spool_id)
    running.wait_for("done", spool_id=spool_id, delivered=1)
    connect = running.wait_for("connect", sid=accept["sid"])

    assert ("delivered", "b@example.org") == (attempt["outcome"], attempt["forward_path"])
    assert ("quit", 1) == (connect["end"], connect["accepted"])
    assert [b"hello"] == [
        file.read_bytes().splitlines()[-1]
        for file in (running.folder / "data" / "sink").iterdir()
        if file.is_file()
    ]
    metrics = get(f"http://127.0.0.1:{running.http_port}/metrics")
    assert "pymta_messages_accepted_total 1.0" in metrics
    assert 'pymta_deliveries_total{outcome="delivered"} 1.0' in metrics
    assert "ready\n" == get(f"http://127.0.0.1:{running.http_port}/ready")
    assert "no messages\n" == running.pymta("queue", "list")


def test_a_deferred_message_can_be_looked_at_held_released_and_dropped(running: Running) -> None:
    running.send("b@nowhere.example")
    spool_id = running.wait_for("attempt", outcome="deferred")["spool_id"]
    # The attempt is logged before the round is settled.
    (row,) = wait_until(
        lambda: [row for row in running.messages() if row["state"] == "deferred"], "the schedule has it again"
    )
    assert (spool_id, "b@nowhere.example") == (row["spool_id"], row["forward_path"])
    shown = json.loads(running.pymta("queue", "show", spool_id, "--json"))
    assert "Subject: hello" in shown["header_section"]
    assert "Received: from" in shown["header_section"]
    assert "deferred" == shown["recipients"][0]["state"]
    assert "1 message on hold\n" == running.pymta("queue", "hold", "--domain", "nowhere.example")
    assert spool_id in running.pymta("queue", "list", "--state", "hold")
    assert "1 message released\n" == running.pymta("queue", "release", spool_id)
    running.pymta("queue", "hold", "--from", "a@example.net")
    assert "1 message dropped\n" == running.pymta("queue", "drop", spool_id)
    assert "no messages\n" == running.pymta("queue", "list")
    assert spool_id in running.pymta("spool", "dump")
    assert "drop" == running.wait_for("admin", action="drop")["action"]


def test_reload_by_command_and_by_signal(running: Running) -> None:
    """
    What cannot be used is refused with file and line, and the server goes on as it was.
    """
    running.write_config("[queue]\nlifetime_s = 1000\n")
    assert "reloaded\n" == running.pymta("reload")
    running.write_config("[queue]\nlifetime_s = -1\n")
    running.program.process.send_signal(signal.SIGHUP)
    trouble = running.wait_for("trouble", what="reload refused")
    assert "queue.lifetime_s" in trouble["error"]
    assert f"{running.config}:" in trouble["error"]
    running.write_config()
    running.send("b@example.org")
    running.wait_for("done")


def test_a_reload_names_what_waits_for_a_restart(running: Running) -> None:
    """Until then it says so each time: what was changed is not in force."""
    running.write_config('[queue]\nlifetime_s = 1000\n[delivery]\nidle_s_max = 9\ntls = "none"\n')
    said = "changed, but not before a restart: delivery.idle_s_max"

    assert f"reloaded; {said}\n" == running.pymta("reload")
    assert said == running.wait_for("admin", action="reload")["detail"]
    assert f"reloaded; {said}\n" == running.pymta("reload")
    running.write_config()
    assert "reloaded\n" == running.pymta("reload")


def test_a_refused_reload_opens_the_log_anew_all_the_same(running: Running) -> None:
    """
    logrotate(8) has moved the file away and will compress it: what the script is worth has nothing to do with that.
    """
    running.write_config("[queue]\nlifetime_s = -1\n")
    running.log.rename(running.folder / "log.1")

    running.program.process.send_signal(signal.SIGHUP)

    wait_until(running.log.exists, "there is a new file")
    assert "queue.lifetime_s" in running.wait_for("trouble", what="reload refused")["error"]
    assert "reload refused" not in (running.folder / "log.1").read_text()


def test_a_reload_that_would_leave_a_listener_as_it_was_is_refused(running: Running) -> None:
    """
    Its socket was made with these: taken over in silence they would be believed to be in force.
    """
    text = running.config.read_text()
    name = 'name = "relay"'
    for changed in ('proxy_networks = ["192.0.2.1"]', 'tls = "starttls"\ncertificate_file = "pymta.toml"'):
        running.config.write_text(text.replace(name, f"{name}\n{changed}"))
        assert 'listener "relay"' in running.pymta("reload", code=1)
    running.config.write_text(text.replace(name, f"{name}\nbacklog_max = 7"))
    assert "reloaded\n" == running.pymta("reload")


def test_a_suspended_domain_is_seen_in_the_status_and_the_list(running: Running) -> None:
    """
    Also by who comes later: mail that waits for it says until when.
    """
    running.pymta("queue", "suspend", "Example.org", "--for", "3000")
    running.send("b@example.org")
    (row,) = wait_until(running.messages, "the message is there")

    assert re.search(
        r"suspended +domain example\.org for (50|49) min, by an operator", running.pymta("status")
    )
    assert {"example.org"} == set(json.loads(running.pymta("status", "--json"))["suspended_domains"])
    assert row["due_ms"] > row["spooled_at_ms"] + 2_900_000
    assert re.search(r" in (50|49) min ", running.pymta("queue", "list"))
    assert "1 message due now\n" == running.pymta("queue", "retry", row["spool_id"])
    running.pymta("queue", "resume", "example.org")
    running.wait_for("done", delivered=1)
    assert "suspended" not in running.pymta("status")


def test_status_and_explain_of_a_running_server(running: Running) -> None:
    status = json.loads(running.pymta("status", "--json"))

    assert (running.program.pid, False) == (status["pid"], status["stopping"])
    assert f"127.0.0.1:{running.smtp_port}" == status["listeners"][0]["address"]
    explained = json.loads(running.pymta("explain", "b@example.org", "--json"))
    assert running.sink_port == explained["route"]["hops"][0]["port"]
    assert "site_state" in explained
    offline = json.loads(running.pymta("explain", "b@example.org", "--json", "--offline"))
    assert explained["route"]["hops"] == offline["route"]["hops"]


def test_explain_knows_the_directory_with_and_without_a_server(running: Running) -> None:
    """What an address of ours stands for is part of where its mail goes, and who asks without the server is told the same."""
    running.pymta("domain", "add", "home.example")
    running.pymta("account", "add", "ann@home.example", typed="correct horse\n")
    running.pymta("alias", "add", "team@home.example", "ann@home.example", "bob@far.example")

    for offline in ((), ("--offline",)):
        told = json.loads(running.pymta("explain", "team@home.example", "--json", *offline))
        assert "local" == told["route"]["transport"]
        assert {
            "status": "found",
            "via": ["team@home.example"],
            "accounts": ["ann@home.example"],
            "forwards": ["bob@far.example"],
        } == told["directory"]
        text = running.pymta("explain", "ann+lists@home.example", *offline)
        assert "mailbox   ann@home.example, detail lists" in text
        assert "no such address" in running.pymta("explain", "eve@home.example", *offline)


def test_sigterm_ends_it_in_order_and_the_next_start_goes_on(running: Running) -> None:
    running.send("b@nowhere.example")
    spool_id = running.wait_for("attempt", outcome="deferred")["spool_id"]

    assert 0 == running.stop()
    assert not (running.folder / "data" / "control.sock").exists()
    assert "no server is running" in running.pymta("status", code=1)
    assert spool_id in running.pymta("spool", "dump", "--verify")
    with Running(running.folder) as again:
        assert [spool_id] == [row["spool_id"] for row in again.messages()]
        assert 0 == again.stop()


def test_a_second_server_in_the_same_folder_is_refused_in_one_line(running: Running) -> None:
    second = Running(running.folder)
    second.config = running.folder / "second.toml"
    second.write_config()

    said = second.pymta("serve", code=1)

    assert said.startswith(f"Error: {running.folder}")
    assert said.endswith("/spool: the spool folder is in use by another process\n")
    assert 1 == len(said.splitlines())
    assert running.program.pid == json.loads(running.pymta("status", "--json"))["pid"]


def test_a_taken_port_is_refused_in_one_line(tmp_path: Path, running: Running) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Running(folder)
    other.smtp_port = running.smtp_port
    other.write_config()

    said = other.pymta("serve", code=1)

    assert f"Error: 127.0.0.1:{running.smtp_port}: Address already in use\n" == said
    assert 1 == len(said.splitlines())
