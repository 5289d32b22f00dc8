"""
Accounts before several workers: one directory, and one count of failed logins and of what is submitted.
"""

import os
import signal
import smtplib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pymta.auth.schemes import HashCost, stored_forms
from pymta.directory.editor import DirectoryEditor
from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import Sink
from tests.partners.waiting import wait_until
from tests.workers.test_deaths import wait_running, workers_of

ALICE, PASSWORD = "alice@example.test", "correct horse"
CHEAP = HashCost(memory_kib=1024, passes=1, scram_iterations=4096)
AUTH = {"hash_memory_octets": 1 << 20, "hash_passes": 1, "scram_iterations": 4096, "delay_s_max": 0}
FAILURES_MAX = 6
MESSAGES_MAX = 8


@pytest.fixture
def server(tmp_path: Path, sink: Sink) -> Iterator[Pymta]:
    with Pymta(
        tmp_path / "pymta",
        routes=[next_hop(sink.port)],
        listener={"role": "submission", "tls": "none"},
        directory={"source": "sqlite"},
        auth={
            **AUTH,
            "in_the_clear": "loopback",
            "failures_per_address_max": FAILURES_MAX,
            "failures_per_account_max": 0,
        },
        submission={"messages_per_day_max": MESSAGES_MAX},
        server={"workers": 4},
    ) as server:
        with closing(DirectoryEditor(server.data / "directory.db")) as editor:
            editor.add_domain("example.test")
            editor.add_account(ALICE, stored_forms(PASSWORD, CHEAP, scram=True))
        yield server


def log_in(server: Pymta, password: str) -> int:
    """The code that a login gets, by a connection of its own."""
    with server.client() as client:
        client.ehlo()
        try:
            return client.login(ALICE, password, initial_response_ok=True)[0]
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code


def test_failed_logins_are_counted_over_all_workers(server: Pymta) -> None:
    wait_until(lambda: 235 == log_in(server, PASSWORD) or None, "the account is there")

    for number in range(1, FAILURES_MAX + 1):
        assert 235 != log_in(server, "wrong")
        server.wait_events(number, "auth", outcome="failed")
    wait_until(
        lambda: {235} != {log_in(server, PASSWORD) for _ in range(1)} or None,
        "the address is banned somewhere",
    )
    assert 235 not in {log_in(server, PASSWORD) for _ in range(16)}, "and then everywhere"


def test_what_an_account_submits_is_counted_over_all_workers(server: Pymta, sink: Sink) -> None:
    wait_until(lambda: 235 == log_in(server, PASSWORD) or None, "the account is there")

    replies = []
    for _ in range(3 * MESSAGES_MAX):
        with server.client() as client:
            client.login(ALICE, PASSWORD)
            replies.append(client.mail(ALICE)[0])
            if replies[-1] == 250:
                client.rcpt("b@example.org")
                assert 250 == client.data(b"Subject: x\r\n\r\nx\r\n")[0]
    accepted = replies.count(250)
    assert {250, 450} == set(replies)
    # Several workers may each accept one before they hear of each other.
    assert MESSAGES_MAX <= accepted <= MESSAGES_MAX + 3


def submit_until_refused(server: Pymta) -> int:
    """How many messages of Alice's are taken."""
    for count in range(10 * MESSAGES_MAX):
        with server.client() as client:
            client.login(ALICE, PASSWORD)
            if 450 == client.mail(ALICE)[0]:
                return count
            client.rcpt("b@example.org")
            assert 250 == client.data(b"Subject: x\r\n\r\nx\r\n")[0]
    raise AssertionError("never refused")


def test_a_day_goes_on_after_a_restart_of_all_workers_and_after_their_death(server: Pymta) -> None:
    wait_until(lambda: 235 == log_in(server, PASSWORD) or None, "the account is there")
    assert MESSAGES_MAX <= submit_until_refused(server) <= MESSAGES_MAX + 3

    server.restart()
    assert {450} == {submitted_code(server) for _ in range(8)}
    for pid in workers_of(server):
        os.kill(pid, signal.SIGKILL)
    wait_running(server)
    assert {450} == {submitted_code(server) for _ in range(8)}


def submitted_code(server: Pymta) -> int:
    """What MAIL is answered."""
    with server.client() as client:
        client.login(ALICE, PASSWORD)
        return client.mail(ALICE)[0]
