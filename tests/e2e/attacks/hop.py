"""
A next hop that keeps every octet that it was sent, in the order of the wire.

Not a good server: it takes nearly all mail and reads lines strictly. What it refuses is told by the local part, so tests
that share one do not disturb each other: `fail...` is refused for good, `late...` deferred.
"""

import socketserver
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.partners.waiting import wait_until

IDLE_S_MAX = 30.0


class Taken:
    """One message, as it came over the wire."""

    def __init__(self, reverse_path: str, forward_paths: list[str], raw: bytes, content: bytes) -> None:
        self.mail_line = reverse_path
        self.rcpt_lines = forward_paths
        self.raw = raw
        """The content's octets as they were sent: dots doubled, the end of DATA or the chunks not taken off."""
        self.content = content


class RecordingHop:
    """A server on 127.0.0.1:`port`; a context manager that stops it."""

    def __init__(self, *keywords: str, refusal: str = "550 5.1.1 nobody here") -> None:
        """
        Start it.

        Args:
            keywords: What it says to EHLO.
            refusal: Its reply, one line, to recipients that begin with "fail"; sent as it is.
        """
        self.keywords = keywords
        self.refusal = refusal.encode()
        self.tls: ssl.SSLContext | None = None
        """What STARTTLS is done with, where it is among the keywords."""
        self.taken: list[Taken] = []
        self.received: list[bytearray] = []
        """All octets of each connection."""
        self._lock = threading.Lock()
        hop = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                _Talk(hop, self.request).talk()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the client went away; what it sent before is recorded

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def wait_taken(self, marker: str | bytes, *, count: int = 1) -> list[Taken]:
        """The messages that have *marker* in their content or envelope, when there are at least *count*."""
        return wait_until(
            lambda: found if len(found := self.find(marker)) >= count else None,
            f"{count} messages with {marker!r} at the next hop",
        )

    def find(self, marker: str | bytes) -> list[Taken]:
        """The messages so far that have *marker* in their content or envelope."""
        wanted = marker.encode() if isinstance(marker, str) else marker
        with self._lock:
            return [
                taken
                for taken in self.taken
                if wanted in taken.content
                or wanted in " ".join([taken.mail_line, *taken.rcpt_lines]).encode("utf-8", "surrogateescape")
            ]

    def keep(self, taken: Taken) -> None:
        """Note a message."""
        with self._lock:
            self.taken.append(taken)

    def wire(self) -> bytes:
        """All octets of all connections."""
        with self._lock:
            return b"".join(self.received)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Talk:
    """One connection's."""

    def __init__(self, hop: RecordingHop, connection: Any) -> None:
        self._hop = hop
        self._connection = connection
        self._connection.settimeout(IDLE_S_MAX)
        self._unread = bytearray()
        self._received = bytearray()
        hop.received.append(self._received)
        self._mail_line, self._rcpt_lines, self._chunks = "", list[str](), bytearray()

    def talk(self) -> None:
        self._say(b"220 hop.example.test ESMTP")
        while (line := self._take_to(b"\r\n")) is not None:
            verb = line[:4].upper().decode("ascii", "replace").strip()
            obey: Callable[[bytes], bool] | None = getattr(self, f"_{verb.lower()}", None)
            if obey is None:
                self._say(b"500 5.5.2 what?")
            elif not obey(line):
                return

    def _ehlo(self, line: bytes) -> bool:
        words = ["hop.example.test", *self._hop.keywords]
        for word in words[:-1]:
            self._say(b"250-" + word.encode())
        return self._say(b"250 " + words[-1].encode())

    def _mail(self, line: bytes) -> bool:
        self._mail_line, self._rcpt_lines, self._chunks = _text(line), [], bytearray()
        return self._say(b"250 2.1.0 ok")

    def _rcpt(self, line: bytes) -> bool:
        if b"<fail" in line:
            return self._say(self._hop.refusal)
        if b"<late" in line:
            return self._say(b"451 4.7.1 later")
        self._rcpt_lines.append(_text(line))
        return self._say(b"250 2.1.5 ok")

    def _data(self, line: bytes) -> bool:
        if not self._rcpt_lines:
            return self._say(b"554 5.5.1 no valid recipients")
        self._say(b"354 go on")
        # An empty message ends at once; the CRLF of DATA is the first half of its end.
        raw = self._take_to(b"\r\n.\r\n", before=b"\r\n")
        if raw is None:
            return False
        content = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n")[2:]
        self._done(raw + b"\r\n.\r\n", content + b"\r\n")
        return self._say(b"250 2.0.0 taken")

    def _bdat(self, line: bytes) -> bool:
        words = line.split()
        chunk = self._take_octets(int(words[1]))
        if chunk is None:
            return False
        self._chunks += chunk
        if len(words) == 3:
            self._done(bytes(self._chunks), bytes(self._chunks))
        return self._say(b"250 2.0.0 taken")

    def _star(self, line: bytes) -> bool:
        assert self._hop.tls is not None, "STARTTLS among the keywords needs a context"
        self._say(b"220 2.0.0 go")
        try:
            self._connection = self._hop.tls.wrap_socket(self._connection, server_side=True)
        except OSError:
            return False  # the client did not like the certificate
        return True

    def _rset(self, line: bytes) -> bool:
        self._rcpt_lines = []
        return self._say(b"250 2.0.0 ok")

    def _quit(self, line: bytes) -> bool:
        self._say(b"221 2.0.0 bye")
        return False

    def _done(self, raw: bytes, content: bytes) -> None:
        self._hop.keep(Taken(self._mail_line, self._rcpt_lines, raw, content))

    def _say(self, line: bytes) -> bool:
        self._connection.sendall(line + b"\r\n")
        return True

    def _more(self) -> bool:
        octets = self._connection.recv(65536)
        self._received += octets
        self._unread += octets
        return bool(octets)

    def _take_to(self, end: bytes, *, before: bytes = b"") -> bytes | None:
        """What is before *end*, which is taken off too; *before* is thought to stand in front of it."""
        while (at := (before + self._unread).find(end)) < 0:
            if not self._more():
                return None
        at = max(at - len(before), 0) if before else at
        taken = bytes(self._unread[:at])
        cut = (before + self._unread).find(end) + len(end) - len(before)
        del self._unread[:cut]
        return taken

    def _take_octets(self, count: int) -> bytes | None:
        while len(self._unread) < count:
            if not self._more():
                return None
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


def has_strays(octets: bytes) -> bool:
    """Whether there is a CR or an LF that is not half of a pair."""
    rest = octets.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")
