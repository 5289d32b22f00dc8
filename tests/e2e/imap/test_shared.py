"""
Mailboxes that accounts share with each other (RFC 4314), by imaplib: two accounts, several sessions.
"""

import imaplib
from collections.abc import Callable

from tests.e2e.imap.conftest import ALICE, BOB, Reading, message, ok

Start = Callable[..., Reading]

EVE = "eve@example.test"
TEAM = f'"Other Users/{ALICE}/Team"'


def share(alice: imaplib.IMAP4, rights: str, *, mailbox: str = "Team", identifier: str = BOB) -> None:
    """Made where it is missing."""
    alice.create(mailbox)
    ok(alice.setacl(mailbox, identifier, rights))


def names(imap: imaplib.IMAP4, pattern: str = "*") -> list[str]:
    """Mailboxes that exist, as LIST has them."""
    listed = [line.decode() for line in ok(imap.list('""', pattern)) if line]
    return [line.split('"/" ')[1].strip('"') for line in listed if "\\Noselect" not in line]


def refused(answer: tuple[str, list[bytes]]) -> str:
    """Why, without the tag."""
    assert "NO" == answer[0], answer
    return answer[1][0].decode()


def test_a_shared_mailbox_is_found_read_and_changed_by_another(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as alice, reading.client(BOB) as bob:
        announced = set(ok(bob.capability())[0].split())
        assert {b"ACL", b"RIGHTS=texk", b"LIST-MYRIGHTS"} <= announced
        assert [b'(("" "/")) (("Other Users/" "/")) NIL'] == ok(bob.namespace())
        share(alice, "lrswite")
        ok(alice.append("Team", "", None, message(1)))
        assert f"Other Users/{ALICE}/Team" in names(bob)
        assert [f"Other Users/{ALICE}"] == [
            line.decode().split('"/" ')[1].strip('"') for line in ok(bob.list('""', '"Other Users/%"'))
        ]
        assert [b"1"] == ok(bob.select(TEAM))
        assert b"body 1" in ok(bob.fetch("1", "(BODY[TEXT])"))[0][1]
        ok(bob.append(TEAM, r"(\Flagged)", None, message(2)))
        ok(bob.store("1", "+FLAGS", r"(\Deleted)"))
        ok(bob.expunge())
        ok(alice.select("Team"))
        assert b"\\Flagged" in ok(alice.fetch("1", "(FLAGS BODY.PEEK[TEXT])"))[0][0]


def test_names_that_lead_nowhere_are_all_answered_alike(start_reading: Start) -> None:
    """No account, one that shares nothing, a mailbox that is not shared, and paths: the same words."""
    reading = start_reading()
    with reading.client() as alice, reading.client(BOB) as bob:
        reading.accounts.add(EVE)
        share(alice, "lr")
        ok(alice.create("Private"))
        said = set()
        for name in (
            f"Other Users/{ALICE}/Private",
            f"Other Users/{ALICE}/INBOX",
            f"Other Users/{ALICE}/Nothing",
            f"Other Users/{ALICE}",
            f"Other Users/{EVE}/INBOX",
            "Other Users/nobody@example.test/INBOX",
            f"Other Users/{ALICE}/../{EVE}/INBOX",
            f"Other Users/../{ALICE}/Team",
            "Other Users/../../example.test/alice/Team",
            f"Other Users/{ALICE.upper()}/Team",
            f"Other Users/{BOB}/INBOX",
            "Other Users/example.test/alice/Team",
        ):
            quoted = f'"{name}"'
            said |= {
                refused(bob.select(quoted, readonly=True)),
                refused(bob.status(quoted, "(MESSAGES)")),
                refused(bob.append(quoted, "", None, message(1))),
                refused(bob.delete(quoted)),
                refused(bob.getacl(quoted)),
                refused(bob.setacl(quoted, BOB, "lrswipkxtea")),
                refused(bob.myrights(quoted)),
                refused((bob.getquotaroot(quoted)[0], bob.getquotaroot(quoted)[1][0])),
            }
        assert {"[NONEXISTENT] No such mailbox"} == said
        assert "Nothing" not in " ".join(names(bob))
