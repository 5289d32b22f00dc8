"""
Port 25 and the directory: what an operator changes by command beside the running server is seen at the next RCPT.
"""

import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.our_sink import OurSink
from tests.partners.pymta import PYTHON, Pymta, next_hop
from tests.partners.waiting import wait_until

SCHEME = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="


def pymta(server: Pymta, *words: str, typed: str = "") -> None:
    """A command of the operator's."""
    done = subprocess.run(
        [sys.executable, "-m", "pymta", *words, "--config", str(server.config_file)],
        input=typed,
        env={"PYTHONPATH": str(PYTHON)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert 0 == done.returncode, done.stdout


def reply_to(client: smtplib.SMTP, path: str) -> str:
    """Code and enhanced status of a RCPT."""
    code, text = client.docmd(f"RCPT TO:<{path}>")
    return f"{code} {text.decode()[:5]}"


def test_changes_are_seen_without_a_restart(start_pymta: Callable[..., Pymta], our_sink: OurSink) -> None:
    server = start_pymta(listener={"trusted_networks": []}, routes=[next_hop(our_sink.port, "far.example")])

    def replies(*paths: str) -> list[str]:
        with server.client() as client:
            client.ehlo()
            client.docmd("MAIL FROM:<a@elsewhere.example>")
            return [reply_to(client, path) for path in paths]

    assert ["550 5.7.1"] == replies("alice@us.example")
    pymta(server, "domain", "add", "us.example")
    assert ["550 5.1.1"] == replies("alice@us.example")
    pymta(server, "account", "add", "alice@us.example", "--stored", typed=SCHEME + "\n")
    pymta(server, "alias", "add", "out@us.example", "reader@far.example")
    assert ["250 2.1.5", "250 2.1.5", "250 2.1.5", "550 5.1.1", "550 5.7.1"] == replies(
        "Alice@US.example", "alice+x@us.example", "out@us.example", "bob@us.example", "x@far.example"
    )
    pymta(server, "account", "set", "alice@us.example", "--refuse-mail")
    pymta(server, "domain", "set", "us.example", "--catch-all", "out@us.example")
    wait_until(lambda: replies("bob@us.example") == ["250 2.1.5"] or None, "the catch-all is seen")
    assert ["550 5.2.1", "250 2.1.5"] == replies("alice@us.example", "bob@us.example")
    pymta(server, "domain", "set", "us.example", "--suspend")
    wait_until(lambda: replies("bob@us.example") == ["550 5.2.1"] or None, "the suspension is seen")


def test_who_probes_for_addresses_is_sent_away(start_pymta: Callable[..., Pymta]) -> None:
    """
    Row 16: each unknown address is a refusal, and refusals have a limit.
    """
    server = start_pymta(listener={"trusted_networks": [], "limits": {"refusals_max": 20}})
    pymta(server, "domain", "add", "us.example")
    client = server.client()
    client.ehlo()
    client.docmd("MAIL FROM:<a@elsewhere.example>")
    replies = [reply_to(client, f"guess{n}@us.example") for n in range(21)]
    assert {"550 5.1.1"} == set(replies)
    client.close()
    assert "violations" == server.wait_event("connect", refused=21)["end"]


def test_a_directory_in_a_file_is_read_again_at_a_reload(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    file = tmp_path / "directory.toml"
    file.write_text('[domains."us.example"]\n[accounts."alice@us.example"]\n', encoding="utf-8")
    server = start_pymta(
        trouble_expected=True,
        listener={"trusted_networks": []},
        directory={"source": "file", "file": str(file)},
    )

    def replies(*paths: str) -> list[str]:
        with server.client() as client:
            client.ehlo()
            client.docmd("MAIL FROM:<a@elsewhere.example>")
            return [reply_to(client, path) for path in paths]

    assert ["250 2.1.5", "550 5.1.1"] == replies("alice@us.example", "bob@us.example")
    file.write_text('[domains."us.example"]\n[accounts."bob@us.example"]\n', encoding="utf-8")
    server.reload()
    assert ["550 5.1.1", "250 2.1.5"] == replies("alice@us.example", "bob@us.example")
    file.write_text('[domains."us.example"]\n[accounts."bob@elsewhere.example"]\n', encoding="utf-8")
    refused = server.control.reload()
    assert not refused.ok
    assert f"{file}:2" in refused.problem
    assert ["250 2.1.5"] == replies("bob@us.example")
