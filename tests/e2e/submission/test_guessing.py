"""
Those who guess passwords: they wait, then they are not looked at; and what they hear tells them nothing.
"""

import base64
import smtplib
from collections.abc import Callable

import pytest

from tests.e2e.submission.conftest import PASSWORD, House
from tests.e2e.submission.test_login import secured

ALICE = "alice@example.test"
FAILED = (535, b"5.7.8 authentication credentials invalid")
BANNED = (454, b"4.7.0 temporary authentication failure, try again later")


def login(client: smtplib.SMTP, account: str, password: str) -> tuple[int, bytes]:
    """What AUTH PLAIN is answered."""
    client.user, client.password = account, password
    try:
        return client.auth("PLAIN", client.auth_plain)
    except smtplib.SMTPAuthenticationError as error:
        return error.smtp_code, bytes(error.smtp_error)  # type: ignore[arg-type] # octets, as they came


def test_nobody_and_somebody_sound_alike(start_house: Callable[..., House]) -> None:
    """
    Row 16: unknown, suspended, without a password, wrong password; all mechanisms say the same.
    """
    house = start_house(auth={"failures_per_address_max": 0})
    house.editor.set_account("bob@example.test", suspended=True)
    house.editor.add_account("mute@example.test")
    with secured(house, "submissions") as client:
        replies = {
            login(client, name, PASSWORD if name.startswith("bob") else "wrong horse")
            for name in (ALICE, "bob@example.test", "mute@example.test", "nobody@example.test")
        }
    assert {FAILED} == replies
    for name in (ALICE, "bob@example.test", "mute@example.test", "nobody@example.test"):
        said = house.clients.msmtp(name, "wrong horse", ALICE, mechanism="SCRAM-SHA-256", tls="implicit").said
        assert "535 5.7.8 authentication credentials invalid" in said


def test_an_address_is_banned_and_the_right_password_does_not_help(start_house: Callable[..., House]) -> None:
    house = start_house(auth={"failures_per_address_max": 3, "ban_s": 3600})
    with secured(house, "submissions") as client:
        assert [FAILED] * 3 + [BANNED] == [login(client, ALICE, f"guess {n}") for n in range(4)]
    with secured(house, "submission") as client:
        assert BANNED == login(client, ALICE, PASSWORD)
    house.server.configure(auth={"never_banned_networks": ["127.0.0.0/8"]})
    house.server.reload()
    with secured(house, "submission") as client:
        assert 235 == login(client, ALICE, PASSWORD)[0]

    assert "address banned for 3600 s" in house.server.wait_events(3, "auth", outcome="failed")[2]["cause"]
    assert 2 == len(house.server.wait_events(2, "auth", outcome="banned"))


def test_an_account_is_closed_to_strangers_only(start_house: Callable[..., House]) -> None:
    house = start_house(auth={"failures_per_address_max": 0, "failures_per_account_max": 3, "ban_s": 3600})
    with secured(house, "submissions") as client:
        assert 235 == login(client, ALICE, PASSWORD)[0]
    with secured(house, "submissions") as client:
        assert [FAILED] * 3 == [login(client, "bob@example.test", "guess") for _ in range(3)]
        assert BANNED == login(client, "BOB@example.test", PASSWORD)
    with secured(house, "submissions") as client:
        assert [FAILED] * 4 == [login(client, ALICE, "guess") for _ in range(4)]
        assert 235 == login(client, ALICE, PASSWORD)[0]


@pytest.mark.parametrize("account", [ALICE, "nobody@example.test"])
def test_a_wrong_answer_takes_longer_each_time(start_house: Callable[..., House], account: str) -> None:
    house = start_house(auth={"delay_s_max": 2})
    with secured(house, "submissions") as client:
        for _ in range(2):
            assert FAILED == login(client, account, "guess")
    took = house.server.wait_event("connect", end="quit")["took_s"]

    assert 3 <= took < 10


def test_a_session_ends_after_five(start_house: Callable[..., House]) -> None:
    house = start_house(auth={"failures_per_address_max": 0})
    with secured(house, "submissions") as client:
        codes = [login(client, ALICE, "guess")[0] for _ in range(5)]
        assert [535] * 4 == codes[:4]
        with pytest.raises((smtplib.SMTPServerDisconnected, AssertionError)):
            assert 235 == login(client, ALICE, PASSWORD)[0]
        client.close()
    assert "violations" == house.server.wait_event("connect", refused=5)["end"]


def shown(house: House, account: str) -> dict[str, str]:
    """What SCRAM shows of an account to who has proven nothing: salt and iterations."""
    first = base64.b64encode(f"n,,n={account},r=nonce".encode()).decode()
    with secured(house, "submissions") as client:
        code, said = client.docmd("AUTH", f"SCRAM-SHA-256 {first}")
        assert 334 == code
        assert 501 == client.docmd("*")[0]
    return dict(part.split("=", 1) for part in base64.b64decode(said).decode().split(","))


def test_scram_shows_the_same_for_nobody_after_a_restart(start_house: Callable[..., House]) -> None:
    """
    And the iteration count of the accounts, where they were brought with another one than ours.
    """
    house = start_house(auth={"scram_iterations": 10_000})
    before = [shown(house, name) for name in ("nobody@example.test", ALICE)]
    house.server.restart()
    after = [shown(house, name) for name in ("NoBody@example.test", ALICE)]

    assert [one["s"] for one in before] == [one["s"] for one in after]
    assert {"4096"} == {one["i"] for one in before + after}
