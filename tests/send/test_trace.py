"""
`pymta send` with a real server of ours, found by its configuration: where `--trace` says that a message went, it is.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.partners.ports import free_port
from tests.partners.pymta import PYTHON, Pymta, next_hop


def send(server: Pymta, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call `pymta send` with the server's configuration."""
    command = [sys.executable, "-m", "pymta", "send", "--config", str(server.config_file), *arguments]
    return subprocess.run(
        command,
        input="Subject: hello\n\nMy first message.\n",
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(PYTHON)},
    )


def test_a_first_message_is_followed_to_the_file_that_it_ended_in(tmp_path: Path) -> None:
    """The spool id of the log, the queue left, and a file that holds the message: no server is named in the call."""
    sink_port = free_port()
    sink = {"address": f"127.0.0.1:{sink_port}"}
    with Pymta(tmp_path, routes=[next_hop(sink_port)], sink=sink) as server:
        done = send(server, "--trace", "--from", "you@example.test", "friend@example.org")
        accepted = server.wait_event("accept")

    assert 0 == done.returncode, done.stderr
    reply, spooled, left, arrived = done.stdout.splitlines()
    assert reply.startswith("friend@example.org: 250 2.0.0 ")
    assert f"spooled as {accepted['spool_id']}: safe on disk" == spooled
    assert left.startswith("left the queue")
    kept = Path(arrived.removeprefix("arrived at the sink: ")).read_bytes()
    assert kept.startswith(b"X-Envelope-From: <you@example.test>\r\nX-Envelope-To: <friend@example.org>\r\n")
    assert kept.endswith(b"\r\n\r\nMy first message.\r\n")


def test_a_message_that_has_to_wait_is_shown_with_the_reason(tmp_path: Path) -> None:
    """Nobody listens at the next hop: the recipient, its state, and how to go on looking."""
    with Pymta(tmp_path, routes=[next_hop(free_port())]) as server:
        done = send(server, "--trace", "friend@example.org")

    assert 0 == done.returncode, done.stderr
    assert re.search(
        r"^in the queue, deferred:\n  friend@example\.org  deferred  4\d\d ", done.stdout, re.MULTILINE
    )
    assert re.search(r"^see: pymta queue show \w+$", done.stdout, re.MULTILINE)


def test_without_trace_nothing_is_said(tmp_path: Path) -> None:
    """As a drop-in for sendmail has it; the server is the one of the configuration."""
    with Pymta(tmp_path, routes=[next_hop(free_port())]) as server:
        done = send(server, "friend@example.org")

        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
        server.wait_event("accept")
