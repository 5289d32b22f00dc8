"""What is said at RCPT about addresses of our own, and that strangers get no further by them."""

import inspect

import pytest

from pymta._core import Address, Envelope, Reply
from pymta.directory import Account, Alias, Directory, Domain, TableLookup
from pymta.directory.database import DirectoryBusy
from pymta.mail.verdict import Verdict
from pymta.policy.checks.recipient import recipient_check
from pymta.policy.checks.relay import RelayDomains
from pymta.policy.session import Listener, ListenerRole, Session
from pymta.testing import FakeClock

DIRECTORY = Directory(
    TableLookup(
        [Domain(name="us.example"), Domain(name="gone.example", suspended=True)],
        [Account(name="alice@us.example"), Account(name="off@us.example", receives_mail=False)],
        [
            Alias(address="out@us.example", targets=("x@far.example",)),
            Alias(address="loop@us.example", targets=("pool@us.example",)),
            Alias(address="pool@us.example", targets=("loop@us.example",)),
        ],
    )
)
RELAYED = RelayDomains(["relayed.example", "us.example"])


class Protocol:
    envelope = Envelope(None, [])


def session(*, trusted: bool = False, role: ListenerRole = "relay") -> Session:
    return Session(
        id="s1",
        peer_address="198.51.100.1",
        peer_port=25,
        listener=Listener("x", role),
        clock=FakeClock(),
        protocol=Protocol(),
        trusted=trusted,
    )


def reply_to(path: str, client: Session, directory: Directory = DIRECTORY) -> str:
    answer = recipient_check(client, Address(path), RELAYED, directory)
    assert not inspect.iscoroutine(answer)
    assert answer is None or isinstance(answer, Verdict)
    return "" if answer is None else str(answer.reply)[:9]


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("alice@us.example", ""),
        ("Alice+x@US.example", ""),
        ("out@us.example", ""),
        ("postmaster", "550 5.1.1"),  # nobody said who that is
        ("nobody@us.example", "550 5.1.1"),  # although the domain is relayed for, too
        ("alice%far.example@us.example", "550 5.1.1"),
        ('"x@far.example"@us.example', "550 5.1.1"),
        ("off@us.example", "550 5.2.1"),
        ("any@gone.example", "550 5.2.1"),
        ("loop@us.example", "550 5.4.6"),
        ("x@relayed.example", ""),
    ],
)
def test_an_address_of_ours_is_taken_where_it_exists(path: str, reply: str, trusted: bool) -> None:
    assert reply == reply_to(path, session(trusted=trusted))


def test_an_address_elsewhere_is_the_relay_check_s_affair() -> None:
    assert "550 5.7.1" == reply_to("x@far.example", session())
    assert "" == reply_to("x@far.example", session(trusted=True))


def test_a_submission_listener_says_nothing_about_addresses_before_a_login() -> None:
    """
    Who is not logged in does not learn which addresses there are.
    """
    client = session(role="submission")

    assert {"530 5.7.0"} == {reply_to(p, client) for p in ("alice@us.example", "nobody@us.example")}
    client.account = "alice@us.example"
    assert "" == reply_to("alice@us.example", client)
    assert "550 5.1.1" == reply_to("nobody@us.example", client)
    assert "" == reply_to("x@far.example", client)


def test_a_directory_that_fails_is_our_trouble() -> None:
    class Broken(TableLookup):
        def domain(self, name: str) -> Domain | None:
            raise DirectoryBusy("disk I/O error")

    client = session()

    assert "451 4.3.0" == reply_to("alice@us.example", client, Directory(Broken()))
    assert "directory cannot be asked: disk I/O error" in client.decisions[0].reason
    assert "disk" not in client.decisions[0].reply


def test_a_full_mailbox_is_refused_where_nobody_else_has_room() -> None:
    full = Reply(552, "5.2.2", "mailbox full")
    group = Alias(address="both@us.example", targets=("alice@us.example", "bob@us.example"))
    away = Alias(address="away@us.example", targets=("alice@us.example", "x@far.example"))
    directory = Directory(TableLookup(["us.example"], ["alice@us.example", "bob@us.example"], [group, away]))

    def codes(*have_no_room: str) -> list[str]:
        answers = [
            recipient_check(
                session(),
                Address(path),
                RELAYED,
                directory,
                lambda account: full if account.name in have_no_room else None,
            )
            for path in ("alice@us.example", "both@us.example", "away@us.example")
        ]
        return ["" if answer is None else str(answer.reply)[:9] for answer in answers]  # type: ignore[union-attr] # no coroutine

    assert ["", "", ""] == codes()
    assert ["552 5.2.2", "", ""] == codes("alice@us.example")
    assert ["552 5.2.2", "552 5.2.2", ""] == codes("alice@us.example", "bob@us.example")
