"""
`pymta load` and `pymta sink` as they are called: exit codes, what is printed, and each against the other.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.smtp_tools import Sink as SmtpSink
from tests.partners.smtp_tools import smtp_source
from tests.partners.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "python")}


def pymta(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymta", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **ENVIRONMENT},
    )


@contextmanager
def running_sink(tmp_path: Path, *arguments: str) -> Iterator[tuple[Program, int]]:
    """`pymta sink` on a port that the system chose, and that port."""
    command = (sys.executable, "-m", "pymta", "sink", "127.0.0.1:0", *arguments)
    with Program(*command, output=tmp_path / "sink.txt", environment=ENVIRONMENT) as program:
        found = wait_until(lambda: re.search(r"listening on .*:(\d+)", program.text()), "the sink listens")
        yield program, int(found[1])


def counts_of(program: Program) -> dict[str, int]:
    """The JSON that it printed after the line that says where it listens."""
    counts: dict[str, int] = json.loads(program.text().partition("\n")[2])
    return counts


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_load_and_sink_agree(tmp_path: Path, tls: str) -> None:
    """The sink stops by itself after as many messages as the load sent; both say the same."""
    with running_sink(tmp_path, "--messages", "200", "--tls", tls, "--json") as (sink, port):
        done = pymta(
            "load", f"127.0.0.1:{port}", "-m", "200", "--tls", tls, "-r", "2", "--size", "1k-3k", "--json"
        )
        assert 0 == done.returncode, done.stderr
        assert 0 == sink.process.wait(10)

    report, counts = json.loads(done.stdout), counts_of(sink)
    assert report["ok"]
    assert (200, 400, report["octets"]) == (counts["messages"], counts["recipients"], counts["octets"])
    assert (200, 10) == (report["latency_ms"]["whole"]["count"], report["connections"])


def test_load_prints_what_a_person_reads(tmp_path: Path) -> None:
    """A sentence and a table; nothing on standard error where that is no terminal."""
    with SmtpSink(tmp_path) as sink:
        done = pymta("load", f"127.0.0.1:{sink.port}", "-m", "50", "--rate", "500")

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("50 messages accepted in ")
    assert {"connect", "MAIL to 354", "end to reply", "whole"} <= set(
        re.findall(r"^ *([A-Za-z0-9 ]+?) {2,}\d", done.stdout, re.MULTILINE)
    )


def test_load_ends_with_1_where_something_was_not_accepted(tmp_path: Path) -> None:
    """And says how much, and what the server said."""
    with SmtpSink(tmp_path, "-f", "RCPT") as sink:
        done = pymta("load", f"127.0.0.1:{sink.port}", "-m", "20")

    assert 1 == done.returncode
    assert "not accepted: 20 refused" in done.stdout
    assert re.search(r"^ *5\d\d .* 20 ", done.stdout, re.MULTILINE)


def test_load_ends_with_1_where_nobody_is_there() -> None:
    """Soon, with the reason."""
    done = pymta("load", f"127.0.0.1:{free_port()}")

    assert 1 == done.returncode
    assert "connection refused" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("192.0.2.1:25",), "--allow-remote"),
        (("127.0.0.1:25", "--size", "4x"), "expected a size"),
        (("127.0.0.1:25", "--to", "nobody"), "no address"),
        (("127.0.0.1:25", "-c", "0"), "connections"),
        (("127.0.0.1:25", "--verify"), "--tls"),
        (("127.0.0.1:99999",), "port"),
    ],
)
def test_load_refuses_what_it_should_not_do(arguments: tuple[str, ...], why: str) -> None:
    """One line, exit code 2, and nothing is connected to."""
    done = pymta("load", *arguments)

    assert 2 == done.returncode
    assert why in done.stderr.splitlines()[-1]


def test_a_stopped_load_still_reports(tmp_path: Path) -> None:
    """SIGINT ends it with what it knows."""
    command = (sys.executable, "-m", "pymta", "load")
    with SmtpSink(tmp_path) as sink:
        output = tmp_path / "load.txt"
        arguments = (f"127.0.0.1:{sink.port}", "--duration", "60", "--rate", "50", "--json")
        with Program(*command, *arguments, output=output, environment=ENVIRONMENT) as load:
            sink.wait_count(5)
            load.process.send_signal(signal.SIGINT)
            assert 1 == load.process.wait(20)
            report = json.loads(load.text())

    assert "stopped by a signal" == report["gave_up"]
    assert report["messages"]["accepted"] >= 5
    assert 3000 == sum(report["messages"][name] for name in ("begun", "not_sent"))


def test_sink_reports_when_it_is_stopped(tmp_path: Path) -> None:
    """SIGTERM is its usual end."""
    with running_sink(tmp_path, "--json") as (sink, port):
        smtp_source(port, 30)
        assert 0 == sink.stop()

        assert (30, 30, True) == tuple(counts_of(sink)[name] for name in ("messages", "connections", "final"))


def test_sink_says_how_it_stands_while_it_runs(tmp_path: Path) -> None:
    """A line of JSON every so often, for who waits for a number."""
    with running_sink(tmp_path, "--json", "--every", "0.02") as (sink, port):
        smtp_source(port, 30)
        wait_until(lambda: re.search(r'"final":false.*"messages":30,', sink.text()), "a line says 30")
        assert 0 == sink.stop()

        assert json.loads(sink.text().splitlines()[-1])["final"]


def test_sink_ends_with_1_where_too_few_came(tmp_path: Path) -> None:
    """So that a script need not count."""
    with running_sink(tmp_path, "--messages", "5", "--duration", "0.2") as (sink, _):
        assert 1 == sink.process.wait(20)
        assert "0 of 5 messages came" in sink.text()


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (("nowhere",), 2, "address:port"),
        (("127.0.0.1:0", "--deferred", "2"), 2, "0<=x<=1"),
        (("127.0.0.1:0", "--deferred", "0.7", "--refused", "0.7"), 2, "more than 1"),
        (("127.0.0.1:0", "--every", "1"), 2, "--json"),
        (("127.0.0.1:0", "--key", __file__), 2, "--tls"),
        (("127.0.0.1:0", "--tls", "starttls", "--certificate", __file__), 1, "cannot be used"),
        (("192.0.2.1:2525",), 1, "192.0.2.1:2525"),
    ],
)
def test_sink_says_what_is_wrong_in_one_line(arguments: tuple[str, ...], status: int, why: str) -> None:
    """With 2 for the call and 1 for what the system says."""
    done = pymta("sink", *arguments)

    assert status == done.returncode, done.stderr
    assert why in done.stderr.splitlines()[-1]
