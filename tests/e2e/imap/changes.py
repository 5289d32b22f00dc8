"""
A client that changes a mailbox all the time and remembers what it was promised.
"""

import imaplib
import random
import re
from collections.abc import Callable

from tests.e2e.imap.conftest import Reading, message, ok


class Changes:
    """One client's, and what it was promised: for each message where it is, or where it may be as well."""

    def __init__(self, reading: Reading, chance: random.Random) -> None:
        self._reading = reading
        self._chance = chance
        self._count = 0
        self.promised: dict[int, set[str]] = {}
        self.count_answered = 0
        self.uids: dict[int, int] = {}

    def go_on(self, *, has_trouble: Callable[[], bool] = lambda: False) -> None:
        """Until the server is gone; or until it refuses something, where it *has_trouble*."""
        try:
            with self._reading.client() as imap:
                ok(imap.select())
                while True:
                    self._change(imap)
        except (OSError, imaplib.IMAP4.abort):
            pass
        except AssertionError:
            if not has_trouble():
                raise

    def _change(self, imap: imaplib.IMAP4) -> None:
        there = [number for number, states in self.promised.items() if states in ({"plain"}, {"flagged"})]
        kind = self._chance.choice(("append", "append", "flag", "move", "expunge")) if there else "append"
        if kind == "append":
            number = self._count = self._count + 1
            self.promised[number] = {"gone", "plain"}
            said = ok(imap.append("INBOX", None, None, message(number).replace(b"\n", b"\r\n")))[0]
            self.promised[number] = {"plain"}
            self.count_answered += 1
            found = re.search(rb"APPENDUID \d+ (\d+)", said)
            assert found, said
            self.uids[number] = int(found[1])
            return
        number = self._chance.choice(there)
        uid, before = str(self.uids[number]), self.promised[number]
        after = {"flag": "flagged", "move": "moved", "expunge": "gone"}[kind]
        self.promised[number] = before | {after}
        if kind == "flag":
            ok(imap.uid("STORE", uid, "+FLAGS", "(\\Flagged)"))
        elif kind == "move":
            ok(imap.uid("MOVE", uid, "Moved"))
        else:
            ok(imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
            ok(imap.uid("EXPUNGE", uid))
        self.promised[number] = {after}

    def check(self) -> None:
        """What is there is what was promised; whatever was under way has happened or not, and is known from now on."""
        states: dict[int, str] = dict.fromkeys(self.promised, "gone")
        with self._reading.client() as imap:
            for mailbox in ("INBOX", "Moved"):
                if ok(imap.select(mailbox, readonly=True)) == [b"0"]:
                    continue
                for line in ok(imap.fetch("1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
                    if not isinstance(line, tuple):
                        continue
                    subject = re.search(rb"n(\d+)", line[1])
                    uid = re.search(rb"UID (\d+)", line[0])
                    assert subject
                    assert uid
                    number = int(subject[1])
                    assert "gone" == states[number], "a message is there twice"
                    if mailbox == "Moved":
                        states[number] = "moved"
                    else:
                        states[number] = "flagged" if b"\\Flagged" in line[0] else "plain"
                        assert self.uids.setdefault(number, int(uid[1])) == int(uid[1])
        wrong = {
            number: (state, self.promised[number])
            for number, state in states.items()
            if state not in self.promised[number]
        }
        assert {} == wrong
        self.promised = {number: {state} for number, state in states.items()}
