"""
A session that is over leaves nothing to Python's collector, also one that is lost in the middle of a command.
"""

from collections.abc import Callable
from contextlib import closing

from tests.e2e.imap.conftest import ALICE, PASSWORD, Reading, message
from tests.e2e.imap.test_idle import Line
from tests.e2e.test_garbage import POLICY, SESSIONS

Start = Callable[..., Reading]


def lost_in_a_command(reading: Reading) -> None:
    """It asks for more than it reads, and goes away."""
    with closing(Line(reading)) as client:
        client.say(f'a LOGIN {ALICE} "{PASSWORD}"', "b SELECT INBOX")
        client.until("b OK")
        client.say("c FETCH 1 BODY.PEEK[]")
        client.line()


def test_a_session_that_is_lost_in_a_command_leaves_nothing_to_the_collector(start_reading: Start) -> None:
    reading = start_reading(policy=POLICY)
    server = reading.server
    reading.put("1.a", message(1, octets=16 << 20))

    def told(name: str) -> str:
        with server.client() as client:
            return client.ehlo(name)[1].decode()

    lost_in_a_command(reading)
    server.wait_event("connect", listener="imaps")
    told("begin")
    for _ in range(SESSIONS):
        lost_in_a_command(reading)
    server.wait_events(SESSIONS + 1, "connect", listener="imaps")
    assert int(told("end").split()[0]) < SESSIONS
