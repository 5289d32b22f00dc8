"""
The same mail and the same commands: what Debian's Dovecot says and what we say are the same, but for what is listed.
"""

import os
import pwd
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.imap.conftest import ALICE, HOST, PASSWORD, Reading
from tests.e2e.imap.corpus import MESSAGES, NAMES, WORDS, conversation, random_message
from tests.e2e.imap.responses import Client, Value
from tests.partners.dovecot import Dovecot
from tests.partners.ports import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start Dovecot")

LOGIN = """
protocols = lmtp imap
disable_plaintext_auth = no
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""
# Another one makes other mail and other commands: what is known of a difference holds for all of them.
SEED = int(os.environ.get("PYMTA_TEST_SEED", "0"))
# Who is right, and why. Numbers are places in the corpus.
FETCH_KNOWN = {
    "FETCH 4 BODY.PEEK[HEADER.FIELDS (SUBJECT from)]": "we: no empty line, no body (RFC 9051 §6.4.5.1); Dovecot "
    "says so where it is asked for HEADER.FIELDS.NOT",
    "FETCH 9 ENVELOPE": "we: unfolding takes out the line end and nothing else (RFC 5322 §2.2.3)",
    "FETCH 26 ENVELOPE": "nobody: fields that may stand once stand twice; we take the first, Dovecot the last or all",
    "FETCH 28 ENVELOPE": "we: white space around dots and @ is obsolete, but allowed (RFC 5322 §4.4)",
    "FETCH 16 BODY": "we: the line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1)",
    "FETCH 16 BODYSTRUCTURE": "likewise",
    "FETCH 16 BODY.PEEK[3]": "likewise",
    "FETCH 16 BODY.PEEK[3.TEXT]": "likewise",
    "FETCH 20 BODY": "we: in a value that is marked as encoded, all pieces are (RFC 2231 §4.1)",
    "FETCH 20 BODYSTRUCTURE": "likewise",
    "FETCH 24 BODY": "we: what is no type is text/plain (RFC 2045 §5.2)",
    "FETCH 24 BODYSTRUCTURE": "likewise",
    **{
        f"FETCH {place}": "we: a part that is neither a multipart nor a message has no parts (RFC 9051 §6.4.5.1)"
        for place in [
            *(f"{number} BODY.PEEK[1.1]" for number in (14, 16, 19, 23)),
            *(f"{number} BODY.PEEK[2.1]" for number in (14, 15, 19, 23)),
            "19 BODY.PEEK[3.1]",
        ]
    },
    "FETCH 25 BINARY.PEEK[1]": "both: Dovecot has said something of the message before it finds that it cannot",
    "FETCH 25 BINARY.SIZE[1]": "likewise",
    "FETCH 15 BINARY.SIZE[1]": "we: Dovecot's own BINARY[1] is as long as we say",
}
SEARCH_KNOWN = {
    "SEARCH FROM Do": "we: Dovecot finds it in the MISSING_DOMAIN that it puts where an address has none",
    "UID SEARCH OR (SENTSINCE 11-Nov-2026 HEADER Date 2026) NOT (SENTBEFORE 17-Jun-2026 HEADER Date 2026)": "we: what "
    "has no Date has none that holds 2026, so NOT finds it; Dovecot finds it where that key is asked for once",
}
# Dovecot takes 1969 for the end of time, and sorts careless addresses by what it puts in their place.
ORDERLY = [content for number, content in enumerate(MESSAGES, 1) if number not in (6, 27, 28)]
# The first message came in at this time, the others a day later each.
FIRST_S = 1_780_000_000


@contextmanager
def both(
    start_reading: Callable[..., Reading], messages: list[bytes], *, removed: str = ""
) -> Iterator[tuple[Client, Client]]:
    """We and Dovecot with the same mail selected."""
    port = free_port()
    reading = start_reading()
    with Dovecot(ALICE, more=LOGIN.format(port=port)) as dovecot:
        folder = dovecot.folder / "mail" / ALICE
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
        for number, content in enumerate(messages):
            name = f"{FIRST_S + number}.M{number:05}.host:2,{'S' if number % 3 == 0 else ''}"
            reading.put(name, content, folder="cur")
            (folder / "cur" / name).write_bytes(content)
            for file in (reading.accounts.mailbox(ALICE) / "cur" / name, folder / "cur" / name):
                os.utime(file, (FIRST_S + 86_400 * number,) * 2)
        nobody = pwd.getpwnam("nobody")
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        ours, theirs = Client(HOST, reading.port(), reading.context()), Client("127.0.0.1", port)
        for client in (ours, theirs):
            assert client.say(f'LOGIN {ALICE} "{PASSWORD}"')[0].startswith("OK")
            for command in (
                ["SELECT INBOX", f"STORE {removed} FLAGS (\\Deleted)", "EXPUNGE"] if removed else []
            ):
                assert client.say(command)[0].startswith("OK")
            assert client.say("EXAMINE INBOX")[0].startswith("OK")
        yield ours, theirs
        ours.close()
        theirs.close()


def differences(ours: Client, theirs: Client, commands: list[str], known: dict[str, str]) -> list[str]:
    """Commands that are not answered alike, with both answers; and those of the known ones that are."""
    found = []
    for command in commands:
        answers = [plain(client.say(command)) for client in (ours, theirs)]
        if (answers[0] != answers[1]) != (command in known):
            found.append(f"{command}\n  ours   {answers[0]!r}\n  theirs {answers[1]!r}")
    return found


def plain(answer: tuple[str, list[list[Value]]]) -> Any:
    """Without what may be told in several ways."""
    status, untagged = answer
    return status.split()[0], [normal(said) for said in untagged]


def normal(value: Value) -> Value:
    """
    As text without case; no text as an empty one; placeholders of Dovecot's as what they stand for.

    Fields' names in an answer may be as they were asked for or not, a date begin with a blank or a zero, and what is not
    there be NIL or empty.
    """
    if isinstance(value, list):
        return [normal(each) for each in value if each != "\\Recent"]
    if isinstance(value, str):
        return value.upper()
    if value in (None, b"MISSING_DOMAIN", b"MISSING_MAILBOX"):
        return b""
    return re.sub(rb"^ (\d-\w\w\w-\d{4} )", rb"0\1", value)


def without_last_line(answer: tuple[str, list[list[Value]]]) -> Any:
    """Of a header: all but an empty line that ends it."""
    outcome, [[number, what, [section, header]]] = plain(answer)
    return outcome, number, what, section, header[:-2] if header.endswith(b"\r\n\r\n") else header


def test_fetch(start_reading: Callable[..., Reading]) -> None:
    """
    ENVELOPE, BODY, BODYSTRUCTURE and sections.
    """
    sections = [
        "",
        "HEADER",
        "TEXT",
        "1",
        "1.MIME",
        "2",
        "2.MIME",
        "1.1",
        "2.HEADER",
        "2.TEXT",
        "2.1",
        "3.1",
        "3.2",
        "3",
    ]
    sections += [
        "HEADER.FIELDS (SUBJECT from)",
        "HEADER.FIELDS.NOT (Subject Received)",
        "3.HEADER.FIELDS (Subject)",
        "9",
    ]
    items = ["ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE", "FLAGS"]
    items += [f"BODY.PEEK[{section}]" for section in sections]
    items += [
        "BODY.PEEK[]<5.20>",
        "BODY.PEEK[TEXT]<3.4000>",
        "BODY.PEEK[1]<0.7>",
        "BINARY.PEEK[1]",
        "BINARY.SIZE[1]",
    ]
    with both(start_reading, MESSAGES) as (ours, theirs):
        commands = [f"FETCH {number} {item}" for item in items for number in range(1, len(MESSAGES) + 1)]
        found = differences(ours, theirs, commands, FETCH_KNOWN)

    assert not found, "\n".join(found)


def test_fetch_of_random_mail(start_reading: Callable[..., Reading]) -> None:
    """
    Structures of random mail, and the parts in them.
    """
    chance = random.Random(9051 + SEED)
    messages = [random_message(chance) for _ in range(200)]
    # An empty line that is also the line end before a delimiter is in our MIME, not in Dovecot's (RFC 2046 §5.1.1 has
    # it either way); and Dovecot decodes what is inside of multiparts, too: neither is asked here, and a header is compared
    # without that line.
    items = [
        "ENVELOPE",
        "BODYSTRUCTURE",
        "BODY.PEEK[1]",
        "BODY.PEEK[2]",
        "BODY.PEEK[1.2]",
    ]
    numbers = range(1, len(messages) + 1)
    with both(start_reading, messages) as (ours, theirs):
        commands = [f"FETCH {number} {item}" for number in numbers for item in items]
        found = differences(ours, theirs, commands, {})
        for number in numbers:
            answers = [client.say(f"FETCH {number} BODY.PEEK[2.HEADER]") for client in (ours, theirs)]
            sections = [without_last_line(answer) for answer in answers]
            if sections[0] != sections[1]:
                found.append(f"FETCH {number} BODY.PEEK[2.HEADER]: {sections}")

    assert not found, "\n".join(found)


def random_key(chance: random.Random, count: int) -> str:
    """A search key, of which some find something. None has HEADER Date twice, see `SEARCH_KNOWN`."""
    while (key := any_key(chance, count, depth=2)).count("HEADER Date") > 1:
        pass
    return key


def any_key(chance: random.Random, count: int, depth: int) -> str:
    """Keys in keys, so deep at most."""
    if depth and chance.random() < 0.4:
        keys = [any_key(chance, count, depth - 1) for _ in range(2)]
        return chance.choice([f"OR {keys[0]} {keys[1]}", f"({keys[0]} {keys[1]})", f"NOT {keys[0]}"])
    word, name = chance.choice(WORDS), chance.choice(NAMES)
    day = f"{chance.randint(1, 28)}-{chance.choice(['Jun', 'Jul', 'Nov'])}-2026"
    numbers = sorted(chance.randint(1, count) for _ in range(2))
    return chance.choice(
        [
            chance.choice(
                ["ALL", "SEEN", "UNSEEN", "ANSWERED", "UNDELETED", "KEYWORD x", "UNKEYWORD x", "DRAFT"]
            ),
            f"{numbers[0]}:{numbers[1]}",
            f"UID {numbers[0]},{numbers[1]}:*",
            f"{chance.choice(['SINCE', 'BEFORE', 'ON'])} {day}",
            # Without a date, or one before 1970, Dovecot takes the begin of 1970.
            f"({chance.choice(['SENTSINCE', 'SENTBEFORE', 'SENTON'])} {day} HEADER Date 2026)",
            f"{chance.choice(['LARGER', 'SMALLER'])} {chance.choice([100, 300, 500, 1000])}",
            # "do" is in the MISSING_DOMAIN that Dovecot puts where an address has none.
            f"FROM {name[: chance.randint(3, 4)]}",
            f"{chance.choice(['TO', 'CC', 'BCC'])} {name}",
            f"SUBJECT {word}",
            f'SUBJECT "{chance.choice(["re:", "[list]", "HELLO", "ann"])}"',
            f"BODY {word.upper()}",
            f"TEXT {chance.choice([word, name])}",
            "HEADER References example.net>",
            'HEADER In-Reply-To ""',
            f"HEADER Message-ID {chance.randint(0, 9)}@example",
            f"OLDER {chance.choice([1, 10_000_000_000 % 2**31])}",
        ]
    )


def test_search(start_reading: Callable[..., Reading]) -> None:
    """
    Random keys find the same messages.
    """
    messages = [*MESSAGES, *conversation(SEED + 1, 60)]
    chance = random.Random(2026 + SEED)
    removed = "1:3,9,20:22"  # so that UIDs are no message numbers
    commands = [f"SEARCH {random_key(chance, len(messages))}" for _ in range(400)]
    commands += [f"UID SEARCH {random_key(chance, len(messages))}" for _ in range(100)]
    commands += SEARCH_KNOWN
    with both(start_reading, messages, removed=removed) as (ours, theirs):
        found = differences(ours, theirs, commands, SEARCH_KNOWN)

    assert not found, "\n".join(found)


def test_sort(start_reading: Callable[..., Reading]) -> None:
    """
    By every criterion and some together, of all messages and of some.
    """
    messages = [*ORDERLY, *conversation(SEED + 2, 80)]
    chance = random.Random(2026 + SEED)
    criteria = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"]
    asked = [*criteria, *(f"REVERSE {each}" for each in criteria)]
    # Once each: where Dovecot is asked for SUBJECT REVERSE SUBJECT FROM it turns round FROM as well (RFC 5256 §3: it should not).
    for _ in range(30):
        several = chance.sample(criteria, 3)
        asked.append(" ".join(chance.choice(["", "REVERSE "]) + each for each in several))
    commands = [f"SORT ({each}) UTF-8 ALL" for each in asked]
    commands += [f"UID SORT ({each}) US-ASCII {random_key(chance, len(messages))}" for each in asked]
    with both(start_reading, messages) as (ours, theirs):
        found = differences(ours, theirs, commands, {})

    assert not found, "\n".join(found)


@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_thread(start_reading: Callable[..., Reading], seed: int) -> None:
    """
    Conversations of which parts are lost, of all messages and of some.
    """
    messages = [*conversation(seed, 150), *(ORDERLY if seed == 0 else [])]
    chance = random.Random(seed)
    keys = ["ALL", *(random_key(chance, len(messages)) for _ in range(10))]
    algorithms = ["REFERENCES", "ORDEREDSUBJECT"]
    commands = [f"THREAD {algorithm} UTF-8 {key}" for algorithm in algorithms for key in keys]
    with both(start_reading, messages) as (ours, theirs):
        found = differences(ours, theirs, commands, {})

    assert not found, "\n".join(found)


def status(answer: tuple[str, list[list[Value]]]) -> Any:
    """What STATUS says, whichever way the name is written and in whichever order the items come."""
    outcome, untagged = answer
    said = [
        (str(normal(name)), dict(zip(items[::2], items[1::2], strict=True))) for _, name, items in untagged
    ]
    return outcome.split()[0], [
        (name.removeprefix("b'").removesuffix("'").upper(), items) for name, items in said
    ]


def test_status(start_reading: Callable[..., Reading]) -> None:
    """
    STATUS of mailboxes that are empty, filled, copied into, marked and expunged from, selected or not, and not there.
    """
    items = ["MESSAGES", "UIDNEXT", "UNSEEN", "MESSAGES UNSEEN UIDNEXT", "UNSEEN MESSAGES", "SIZE"]
    names = ["INBOX", "inbox", "Empty", '"Two words"', "None"]
    asked = [f"STATUS {name} ({each})" for name in names for each in items]
    steps = [
        ['CREATE "Two words"', "CREATE Empty"],
        ["SELECT INBOX", 'COPY 1:12 "Two words"', "UNSELECT"],
        ['SELECT "Two words"', "STORE 2,4:6 +FLAGS.SILENT (\\Seen)", "STORE 1:3 +FLAGS.SILENT (\\Deleted)"],
        ["EXPUNGE"],
        ["COPY 1:2 INBOX", "EXAMINE INBOX"],
        ["UNSELECT", "DELETE Empty"],
    ]
    refused = [
        "STATUS INBOX ()",
        "STATUS INBOX MESSAGES",
        "STATUS INBOX (NONSENSE)",
        "STATUS INBOX",
        "STATUS",
    ]
    found = []
    with both(start_reading, MESSAGES) as clients:
        for step in steps:
            for command in step:
                assert all(client.say(command)[0].startswith("OK") for client in clients), command
            for command in asked + (refused if step is steps[-1] else []):
                ours, theirs = (status(client.say(command)) for client in clients)
                if ours != theirs:
                    found.append(f"after {step}: {command}\n  ours   {ours!r}\n  theirs {theirs!r}")

    assert not found, "\n".join(found)
