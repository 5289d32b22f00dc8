"""
The next hop, a process of its own: our sink, which writes down every arrival in a file.

Run as `python -m pymta.selfcheck.counting_sink FILE SHARE`: prints its port; FILE gets a line for each recipient of each message taken;
SHARE of the recipients are deferred. It is never killed, so what is in FILE is what it said 250 to.

    time (ns)  Message-ID  forward-path  spool id of our trace field  ok | damaged
"""

import asyncio
import hashlib
import os
import re
import sys
import time
from pathlib import Path

from pymta._core import Envelope
from pymta.sink.behaviour import Behaviours
from pymta.sink.server import Sink, SinkOptions

FIELDS = re.compile(
    rb"Received: [^;]*?\sid (?P<spool_id>[^\s;]+)[^;]*;\s+[^\r]*\r\n"
    rb"Message-ID: <(?P<message_id>[^>]*)>\r\nX-Digest: (?P<digest>\w+)\r\n\r\n"
)


class CountingSink(Sink):
    """Writes a line before it says 250."""

    def __init__(self, options: SinkOptions, arrivals: int) -> None:
        super().__init__(options)
        self.keeps = True
        self._arrivals = arrivals

    def took(self, envelope: Envelope, octets: int, content: bytearray | None) -> Path | None:
        """Note who got what, and whether it is what was sent."""
        assert content is not None
        found = FIELDS.match(content)
        if found is None:
            message_id, spool_id, condition = "?", "?", "damaged"
        else:
            message_id, spool_id = found["message_id"].decode(), found["spool_id"].decode()
            digest = hashlib.sha256(memoryview(content)[found.end() :]).hexdigest().encode()
            condition = "ok" if digest == found["digest"] else "damaged"
        now_ns = time.time_ns()
        lines = [
            f"{now_ns} {message_id} {recipient.forward_path} {spool_id} {condition}\n"
            for recipient in envelope.recipients
        ]
        os.write(self._arrivals, "".join(lines).encode())
        return super().took(envelope, octets, None)


async def main(file: str, deferred_share: float) -> None:
    """Listen until killed."""
    arrivals = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    options = SinkOptions(behaviours=Behaviours(deferred_share=deferred_share, stage="rcpt"))
    print(await CountingSink(options, arrivals).start(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
