"""
Plays the dialogues of `tests/dialogues/` over a socket. What the lines mean is written in `rust/pymta-smtp/tests/dialogues.rs`.

Left out here are answers of a policy (`>`): whoever plays chooses dialogues without them. Violations are told to the log
and not to the client, so they are not compared.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "dialogues"
SILENCE_S = 10
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}


class Message(NamedTuple):
    """A message that the server has taken."""

    reverse_path: str
    forward_paths: str
    content: bytes


class Dialogue:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.lines = path.read_text(encoding="utf-8").splitlines()
        words = [line.removeprefix("settings:") for line in self.lines if line.startswith("settings:")]
        self.words: list[str] = " ".join(words).split()

    @property
    def has_answers(self) -> bool:
        """Whether a policy has to say what the file wants."""
        return any(line.startswith(">") for line in self.lines)

    @property
    def is_whole(self) -> bool:
        """Whether what is tested comes in one write only."""
        return "whole" in self.words

    @property
    def listener(self) -> str:
        """A name for what the server has to be told."""
        words = "-".join(sorted(set(self.words) - {"whole"})) or "plain"
        return re.sub("[^a-z0-9_]", "-", words.replace("limit.", "").lower())

    def steps(self) -> Iterator[tuple[int, str, str]]:
        """Number, mark and rest of each line that is one."""
        for number, line in enumerate(self.lines, 1):
            if line and not line.startswith(("#", "settings:")):
                yield number, line[:2].strip(), line[2:].removeprefix(" ")


def dialogues() -> list[Dialogue]:
    """All that can be played without a policy's answers."""
    found = [Dialogue(path) for path in sorted(FOLDER.glob("*.dlg"))]
    return [dialogue for dialogue in found if not dialogue.has_answers]


class Player:
    """One connection that plays one dialogue."""

    def __init__(self, dialogue: Dialogue, port: int, *, octet_by_octet: bool) -> None:
        self._dialogue = dialogue
        self._octet_by_octet = octet_by_octet
        self._unsent = b""
        self._heard = b""
        self._socket = socket.create_connection(("127.0.0.1", port), SILENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if "secure" in dialogue.words:
            self._shake_hands()
        self.expected: list[Message] = []
        """What the dialogue says that was taken."""

    def play(self) -> None:
        """AssertionError where the server says something else. The connection is closed then, as at the end."""
        try:
            self._play()
        finally:
            self._socket.close()

    def _play(self) -> None:
        for number, mark, rest in self._dialogue.steps():
            at = f"{self._dialogue.name}:{number}"
            if mark == "C:":
                self._unsent += _unescaped(rest) + b"\r\n"
            elif mark == "C!":
                self._unsent += _unescaped(rest)
            else:
                self._send()
                self._step(mark, rest, at)
        self._send()
        self._socket.settimeout(0.02)
        assert b"" == self._heard + self._more(), f"{self._dialogue.name}: said and not expected"

    def _step(self, mark: str, rest: str, at: str) -> None:
        if mark == "S:":
            while not _matches(rest, line := self._line(at)):
                assert line[3:4] == "-", f"{at}: said {line!r}"
            self._after_starttls(line)
            return
        word, _, rest = rest.partition(" ")
        if word == "message":
            paths, _, content = rest.partition(" : ")
            reverse_path, _, forward_paths = paths.rpartition(" ")
            self.expected.append(Message(reverse_path, forward_paths, _unescaped(content)))
        elif word == "closed":
            assert b"" == self._heard + self._until_closed(at)

    def _send(self) -> None:
        octets, self._unsent = self._unsent, b""
        pieces = [octets[at : at + 1] for at in range(len(octets))] if self._octet_by_octet else [octets]
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has said its last word; it is still to be read

    def _line(self, at: str) -> str:
        while b"\r\n" not in self._heard:
            more = self._more()
            assert more, f"{at}: nothing was said but {self._heard!r}"
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\r\n")
        return line.decode()

    def _until_closed(self, at: str) -> bytes:
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""
        except TimeoutError:
            raise AssertionError(f"{at}: not closed") from None

    def _more(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ConnectionResetError):
            return b""

    def _after_starttls(self, line: str) -> None:
        """The dialogue has no word for the handshake: it comes with the yes to STARTTLS."""
        if line.startswith("220 2.0.0") and not isinstance(self._socket, ssl.SSLSocket):
            self._shake_hands()

    def _shake_hands(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)


def _matches(pattern: str, line: str) -> bool:
    """Whether *line* begins as *pattern* says: `?` is one octet, `*` any."""
    words = {"?": ".", "*": ".*"}
    return re.match("".join(words.get(octet, re.escape(octet)) for octet in pattern), line) is not None


def _unescaped(text: str) -> bytes:
    def octet(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        return bytes([int(escape[1:], 16)]) if escape[:1] == b"x" else _ESCAPES.get(escape, escape)

    return _ESCAPE.sub(octet, text.encode())
