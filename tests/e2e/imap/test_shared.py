"""
Mailboxes that accounts share with each other (RFC 4314), by imaplib: two accounts, several sessions.
"""

import imaplib
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from pymta.auth.schemes import stored_forms
from pymta.cli import command_line
from tests.e2e.imap.conftest import ALICE, BOB, CHEAP, PASSWORD, Reading, message, ok
from tests.e2e.imap.test_idle import Line
from tests.partners.waiting import wait_until

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


def test_who_idles_in_a_shared_mailbox_is_told_what_its_owner_puts_there(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as alice:
        share(alice, "lr")
        client = Line(reading)
        client.say(f'a LOGIN {BOB} "{PASSWORD}"', f"b SELECT {TEAM}")
        assert "READ-ONLY" in client.until("b ")[-1]
        client.say("c IDLE")
        client.until("+")
        ok(alice.append("Team", "", None, message(1)))
        client.until("* 1 EXISTS")
        reading.put("1700000000.x", message(2), mailbox="Team")
        client.until("* 2 EXISTS")
        ok(alice.select("Team"))
        ok(alice.store("1", "+FLAGS", r"(\Seen)"))
        assert r"\Seen" in client.until("* 1 FETCH")[-1]
        client.say("DONE")
        client.until("c ")
        # What is taken away is closed, whatever he does next.
        ok(alice.deleteacl("Team", BOB))
        client.say("d NOOP")
        assert client.until("d ")[0].startswith("* OK [CLOSED]")
        client.close()


def test_a_url_of_anothers_mailbox_is_the_first_that_a_session_says_of_it(start_reading: Start) -> None:
    """CATENATE (RFC 4469), without a SELECT or LIST before it; who gives nothing has nothing to name."""
    reading = start_reading()
    with reading.client() as alice:
        share(alice, "lr")
        ok(alice.append("Team", "", None, message(1)))
        for rights, end in (("lr", "c OK [APPENDUID"), ("l", "c NO [BADURL"), ("", "c NO [BADURL")):
            ok(alice.setacl("Team", BOB, f'"{rights}"'))
            client = Line(reading)
            client.say(f'a LOGIN {BOB} "{PASSWORD}"')
            client.until("a ")
            url = f"/Other%20Users/{ALICE.replace('@', '%40')}/Team/;UID=1"
            client.say(f'c APPEND INBOX CATENATE (URL "{url}")')
            assert client.until("c ")[-1].startswith(end), rights
            client.close()
    with reading.client(BOB) as bob:
        assert [b"1"] == ok(bob.select("INBOX"))
        assert b"body 1" in ok(bob.fetch("1", "(BODY[TEXT])"))[0][1]


def test_messages_go_from_one_account_to_another_and_back(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as alice, reading.client(BOB) as bob:
        share(alice, "lrswite")
        for number in range(1, 6):
            ok(bob.append("INBOX", r"(\Seen work)", None, message(number)))
        ok(bob.select("INBOX"))
        assert b"COPYUID" in bob.copy("1:2", TEAM)[1][0]
        assert "OK" == bob._simple_command("MOVE", "3:5", TEAM)[0]
        assert [b"5"] == ok(alice.select("Team"))
        assert b"work" in ok(alice.fetch("5", "(FLAGS)"))[0]
        assert b"body 5" in ok(alice.fetch("5", "(BODY.PEEK[TEXT])"))[0][1]
        assert [b"2"] == ok(bob.select("INBOX"))
        ok(bob.select(TEAM))
        assert "OK" == bob._simple_command("MOVE", "1:*", "INBOX")[0]
        assert [b"7"] == ok(bob.select("INBOX"))
        assert b"(MESSAGES 0)" in ok(alice.status("Team", "(MESSAGES)"))[0]


def test_what_others_put_there_counts_for_the_owners_quota(start_reading: Start) -> None:
    reading = start_reading()
    reading.accounts.change(ALICE, quota_messages=2)
    with reading.client() as alice, reading.client(BOB) as bob:
        share(alice, "lri")
        ok(bob.append(TEAM, "", None, message(1)))
        ok(bob.append(TEAM, "", None, message(2)))
        assert "OVERQUOTA" in refused(bob.append(TEAM, "", None, message(3)))
        ok(bob.append("INBOX", "", None, message(3)))
        ok(bob.select("INBOX"))
        assert "OVERQUOTA" in refused(bob.copy("1", TEAM))
        assert b"MESSAGE 2 2" in ok(alice.getquota('""'))[0]
        roots, quotas = ok(bob.getquotaroot(TEAM))
        assert [None] == quotas
        assert roots[0].endswith(b'Team"')


def test_an_account_that_is_removed_shares_nothing_any_more(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as alice, reading.client(BOB) as bob:
        share(alice, "lr")
        ok(bob.select(TEAM, readonly=True))
        ok(bob.unselect())
        reading.accounts.remove(ALICE)
        wait_until(
            lambda: "NO" == bob.select(TEAM, readonly=True)[0] or None, "the directory to have forgotten her"
        )
        assert [] == names(bob, '"Other*"')


def test_a_mailbox_that_is_renamed_or_removed_takes_its_rights_along(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as alice, reading.client(BOB) as bob:
        share(alice, "lr")
        ok(alice.rename("Team", "Club"))
        assert [f"Other Users/{ALICE}/Club"] == names(bob, '"Other*"')
        ok(alice.create("Club/Plans"))
        assert 2 == len(names(bob, '"Other*"'))
        ok(alice.delete("Club/Plans"))
        ok(alice.delete("Club"))
        assert [] == names(bob, '"Other*"')
        ok(alice.create("Club"))
        assert "NONEXISTENT" in refused(bob.select(f'"Other Users/{ALICE}/Club"'))


def test_the_list_of_shares_and_the_index_may_be_lost(start_reading: Start) -> None:
    """The file in the folder says who may what."""
    reading = start_reading()
    with reading.client() as alice:
        share(alice, "lr")
    folder = reading.accounts.mailbox(ALICE, "Team")
    assert f"user={BOB} lr\n" == (folder / "dovecot-acl").read_text()
    for path in (*folder.parent.glob("pymta.index*"), reading.accounts.mailboxes / ".pymta.shares"):
        path.unlink(missing_ok=True)  # the server may be closing it
    with reading.client(BOB) as bob:
        assert [] == names(bob, '"Other*"')
        with reading.client():
            assert [f"Other Users/{ALICE}/Team"] == names(bob, '"Other*"')
        ok(bob.select(TEAM, readonly=True))


def test_identifiers_that_are_no_accounts_do_no_harm(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as alice, reading.client(BOB) as bob:
        ok(alice.create("Team"))
        for identifier in ("owner", "authenticated", "group=x", "bob", "-", '""', "anyone", '"*"', '"%"'):
            assert "NO" == alice.setacl("Team", identifier, "lrswipkxtea")[0], identifier
        for identifier in (
            '"../../x@example.test"',
            '"a b\\"c@example.test"',
            "user=bob@example.test",
            '"%s@x"',
        ):
            ok(alice.setacl("Team", identifier, "lr"))
        assert "NO" == bob.select(TEAM)[0]
        ok(alice.setacl("Team", BOB.upper(), "lr"))
        ok(bob.select(TEAM, readonly=True))
        ok(alice.setacl("Team", f"-{BOB}", "r"))
        assert "NOPERM" in refused(bob.select(TEAM))
        listed = ok(alice.getacl("Team"))[0].decode()
        assert f"{BOB} lr" in listed
        assert f"-{BOB} r" in listed


def test_sharing_can_be_turned_off_and_sharing_with_everybody_on(start_reading: Start) -> None:
    reading = start_reading(imap={"shared_mailboxes": False})
    with reading.client() as alice:
        assert b" ACL" not in ok(alice.capability())[0]
        assert [b'(("" "/")) NIL NIL'] == ok(alice.namespace())
        with pytest.raises(imaplib.IMAP4.error):
            alice.setacl("INBOX", BOB, "lr")
        ok(alice.create('"Other Users/x"'))
    reading.server.stop()


def test_what_is_shared_with_everybody_is_in_everybodys_list(start_reading: Start) -> None:
    reading = start_reading(imap={"share_with_anyone": True})
    reading.accounts.add(EVE, stored_passwords=stored_forms(PASSWORD, CHEAP, scram=True))
    with reading.client() as alice, reading.client(EVE) as eve:
        share(alice, "l", identifier="anyone")
        assert [f"Other Users/{ALICE}/Team"] == names(eve, '"Other*"')
        assert "NOPERM" in refused(eve.select(TEAM))


def test_rights_that_dovecot_left_are_in_effect_after_an_import(start_reading: Start) -> None:
    reading = start_reading()
    reading.put("1700000000.x", message(1), mailbox="Team")
    folder = reading.accounts.mailbox(ALICE, "Team")
    (folder / "dovecot-acl").write_text(f"owner lrwstipekxa\nuser={BOB} lrs\n")
    for part in ("tmp", "new", "cur"):
        (folder.parent / part).mkdir(exist_ok=True)
    with reading.client(BOB) as bob:
        assert [] == names(bob, '"Other*"')
        place = ["--no-config", "--data", str(reading.server.data)]
        run = CliRunner().invoke(command_line, ["mailbox", "import", ALICE, *place])
        assert 0 == run.exit_code, run.output
        assert [f"Other Users/{ALICE}/Team"] == names(bob, '"Other*"')
        assert [b"1"] == ok(bob.select(TEAM))
        assert f"{TEAM} lrs" == ok(bob.myrights(TEAM))[0].decode()
