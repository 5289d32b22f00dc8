"""
A server whose clients write to its own mailboxes, and the count of what readers find there in the end.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path

from pymta.selfcheck.swarm import Key, Sent
from tests.crash.hop import Hop
from tests.crash.loaded import LIMIT_S, start
from tests.partners.accounts import Accounts

# Whom the clients write to.
ADDRESSES = tuple(f"r{number}@d{number}.example" for number in range(3))
FIELDS = re.compile(
    rb"Return-Path: <>\nDelivered-To: (?P<forward_path>\S+)\nReceived: [^;]*;\s+[^\n]*\n"
    rb"Message-ID: <(?P<message_id>[^>]*)>\nX-Digest: (?P<digest>\w+)\n\n"
)


class Mailboxes:
    """A server that has the clients' recipients itself."""

    def __init__(self, folder: Path, hop: Hop, data: Path | None = None) -> None:
        data = folder / "data" if data is None else data
        self.accounts = Accounts(data)
        self.accounts.add(*ADDRESSES)
        self.server = start(folder, hop, routes=[], server={"data_folder": data})

    def deferred(self) -> int:
        """Deliveries that were put off."""
        return len(self.server.events("attempt", outcome="deferred", transport="local"))

    def check_readers(self) -> Counter[Key]:
        """What is where readers look: each of it whole."""
        found: Counter[Key] = Counter()
        for address in ADDRESSES:
            for content in self.accounts.messages(address):
                fields = FIELDS.match(content)
                assert fields is not None, content[:300]
                body = content[fields.end() :].replace(b"\n", b"\r\n")
                assert fields["digest"].decode() == hashlib.sha256(body).hexdigest(), "half a message"
                found[fields["message_id"].decode(), fields["forward_path"].decode()] += 1
        return found

    def finish(self, sent: Sent, *, killed: bool = False) -> None:
        """Let the queue drain, stop, and count."""
        try:
            self.server.wait_queue_empty(limit_s=LIMIT_S)
            assert 0 == self.server.stop()
        except BaseException:
            self.server.kill()
            raise
        found = self.check_readers()
        twice = sum(count > 1 for count in found.values())
        print(f"{len(sent.accepted)} accepted, {self.deferred()} deliveries put off, {twice} twice")
        assert set() == sent.accepted - found.keys(), "lost"
        allowed = sent.accepted | sent.unanswered | (sent.refused if killed else set())
        assert set() == found.keys() - allowed, "refused or never sent"
        assert killed or 0 == twice
