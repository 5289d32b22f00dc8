"""
IMAPClient, the library that most Python programs read mail with: it takes every answer apart, so one that it cannot
parse or that is in another order fails here.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.e2e.imap.conftest import ALICE, HOST, PASSWORD, Reading, message

Start = Callable[..., Reading]

COUNT = 3
NOTICE_S_MAX = 15
WAITED_S_MAX = 30
BEYOND_ASCII = "Entw\N{LATIN SMALL LETTER U WITH DIAERESIS}rfe & Notizen"


@pytest.fixture
def reading(start_reading: Start) -> Reading:
    """A server where alice has three messages."""
    reading = start_reading()
    for number in range(COUNT):
        reading.put(f"{number}.a", message(number))
    return reading


@pytest.fixture
def client(reading: Reading) -> Iterator[IMAPClient]:
    """It, logged in and with the inbox selected."""
    with IMAPClient(
        HOST, reading.port(), ssl_context=reading.context(), timeout=WAITED_S_MAX
    ) as client:  # logs out in the end
        client.login(ALICE, PASSWORD)
        assert COUNT == client.select_folder("INBOX")[b"EXISTS"]
        yield client


def numbers(client: IMAPClient, criteria: str | list[object] = "ALL") -> list[int]:
    """Which messages are found, by the number in the subject."""
    fetched = client.fetch(client.search(criteria), ["ENVELOPE"])
    return sorted(int(item[b"ENVELOPE"].subject.removeprefix(b"n")) for item in fetched.values())


def test_it_logs_in_behind_starttls_and_not_with_a_wrong_password(reading: Reading) -> None:
    with IMAPClient(HOST, reading.port("starttls"), ssl=False, timeout=WAITED_S_MAX) as client:
        client.starttls(reading.context())
        with pytest.raises(LoginError, match="AUTHENTICATIONFAILED"):
            client.login(ALICE, "wrong")
        client.login(ALICE, PASSWORD)
        assert client.has_capability("IDLE")


def test_folders_are_made_listed_renamed_subscribed_and_removed(client: IMAPClient) -> None:
    client.create_folder(BEYOND_ASCII)
    client.create_folder("Lists/pymta")
    listed = client.list_folders()
    assert {"INBOX", BEYOND_ASCII, "Lists", "Lists/pymta"} <= {name for _, _, name in listed}
    assert {b"/"} == {separator for _, separator, _ in listed}
    client.subscribe_folder(BEYOND_ASCII)
    assert BEYOND_ASCII in {name for _, _, name in client.list_sub_folders()}
    client.rename_folder(BEYOND_ASCII, "Drafts/Notes")
    assert (False, True) == (client.folder_exists(BEYOND_ASCII), client.folder_exists("Drafts/Notes"))
    client.delete_folder("Drafts/Notes")
    assert not client.folder_exists("Drafts/Notes")
    with pytest.raises(IMAPClientError, match="NONEXISTENT"):
        client.select_folder("Drafts/Notes")


def test_what_is_appended_is_fetched_as_it_was(client: IMAPClient) -> None:
    content = message(7, octets=200_000).replace(b"\n", b"\r\n")
    when = datetime(2026, 11, 2, 10, 0, 7, tzinfo=UTC)
    client.create_folder("Archive")
    client.append("Archive", content, (b"\\Seen", b"Work"), when)
    status = client.folder_status("Archive", ["MESSAGES", "UNSEEN", "UIDNEXT"])
    assert {b"MESSAGES": 1, b"UNSEEN": 0, b"UIDNEXT": 2} == status

    client.normalise_times = False
    client.select_folder("Archive", readonly=True)
    fetched = client.fetch(
        [1], ["RFC822.SIZE", "BODY.PEEK[]", "FLAGS", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE"]
    )
    item = fetched[1]
    assert (content, len(content)) == (item[b"BODY[]"], item[b"RFC822.SIZE"])
    assert {b"\\Seen", b"Work"} <= set(item[b"FLAGS"])
    assert when == item[b"INTERNALDATE"]
    envelope = item[b"ENVELOPE"]
    assert ("Ann <a@example.net>", b"<n7@example.net>") == (str(envelope.from_[0]), envelope.message_id)
    assert (b"TEXT", b"PLAIN") == tuple(part.upper() for part in item[b"BODYSTRUCTURE"][:2])


def test_searches_find_by_field_flag_date_and_text_beyond_ascii(client: IMAPClient) -> None:
    letter = "Subject: n9\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe aus K\u00f6ln\r\n"
    client.append("INBOX", letter.encode())
    client.add_flags(client.search(["SUBJECT", "n1"]), [b"\\Flagged"])
    assert [1] == numbers(client, "FLAGGED")
    assert [0, 2] == numbers(client, ["NOT", ["OR", "FLAGGED", ["SUBJECT", "n9"]]])
    assert [0, 1, 2] == numbers(client, ["SENTON", datetime(2026, 11, 2).date()])
    assert 1 == len(client.search(["BODY", "gr\u00fc\u00dfe"], charset="UTF-8"))


def test_flags_are_added_removed_replaced_and_said(client: IMAPClient) -> None:
    first, second, _ = client.search()
    assert (b"\\Flagged", b"\\Seen") == tuple(
        sorted(set(client.add_flags(first, [b"\\Seen", b"\\Flagged"])[first]) - {b"\\Recent"})
    )
    assert (b"\\Flagged",) == tuple(set(client.remove_flags(first, b"\\Seen")[first]) - {b"\\Recent"})
    assert {b"\\Answered", b"Later"} == set(client.set_flags(second, [b"\\Answered", b"Later"])[second]) - {
        b"\\Recent"
    }
    assert {first: {b"\\Flagged"}, second: {b"\\Answered", b"Later"}} == {
        uid: set(flags) - {b"\\Recent"} for uid, flags in client.get_flags([first, second]).items()
    }
    client.delete_messages(first)
    client.expunge([first])
    assert [1, 2] == numbers(client)


def test_a_move_takes_messages_away_and_a_copy_leaves_them(client: IMAPClient) -> None:
    client.create_folder("Archive")
    client.move(client.search(["SUBJECT", "n0"]), "Archive")
    client.copy(client.search(["SUBJECT", "n1"]), "Archive")
    assert [1, 2] == numbers(client)
    client.select_folder("Archive")
    assert [0, 1] == numbers(client)


def test_idle_tells_of_mail_flags_and_removals(reading: Reading, client: IMAPClient) -> None:
    client.noop()
    client.idle()
    reading.put("7.a", message(7))
    assert (COUNT + 1, b"EXISTS") in client.idle_check(timeout=NOTICE_S_MAX)
    with reading.client() as other:
        other.select()
        other.store("2", "+FLAGS", "(\\Flagged)")
        assert any(said[:2] == (2, b"FETCH") for said in client.idle_check(timeout=NOTICE_S_MAX))
        other.create("Archive")
        other.uid("MOVE", "1", "Archive")
    said = client.idle_check(timeout=NOTICE_S_MAX)
    assert (1, b"EXPUNGE") in said
    client.idle_done()
    assert [1, 2, 7] == numbers(client)


def test_threads_and_sorts_are_read(client: IMAPClient) -> None:
    assert [3, 2, 1] == client.sort(["REVERSE SUBJECT"])
    assert ((1,), (2,), (3,)) == tuple(client.thread())
