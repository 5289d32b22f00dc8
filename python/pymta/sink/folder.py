"""
Where a sink keeps messages: one file each, with the envelope in fields on top, then the content octet for octet.

Not a mailbox and not durable: nothing is synced. Rule: a file under its final name is whole, so that who looks into the
folder while mail arrives never reads half a message.
"""

from collections import deque
from pathlib import Path

from pymta._core import Envelope

__all__ = ["SinkFolder"]


class SinkFolder:
    """
    A folder with at most *messages_max* messages, the oldest of which goes first. Files of an earlier run count.

    Raises:
        OSError: The folder cannot be made or read.
    """

    def __init__(self, folder: Path, messages_max: int) -> None:
        self._folder = folder
        self._messages_max = messages_max
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        earlier = sorted(path for path in folder.glob("*.eml") if path.stem.isdigit())
        self._kept: deque[Path] = deque(earlier)
        self._number = max((int(path.stem) for path in earlier), default=0)

    def keep(self, envelope: Envelope, content: bytearray) -> Path:
        """
        Write a message; returns its file.

        Raises:
            OSError: It cannot be written. Nothing of it is left.
        """
        number = self._number + 1
        path = self._folder / f"{number:08d}.eml"
        # Written by the session's grammar, which lets no line ending into a path.
        lines = [f"X-Envelope-From: <{envelope.reverse_path or ''}>\r\n"]
        lines += [f"X-Envelope-To: <{recipient.forward_path}>\r\n" for recipient in envelope.recipients]
        unfinished = path.with_suffix(".part")
        try:
            with unfinished.open("wb") as stream:
                stream.write("".join(lines).encode())
                stream.write(content)
            unfinished.rename(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._number = number
        self._kept.append(path)
        while len(self._kept) > self._messages_max:
            self._kept.popleft().unlink(missing_ok=True)
        return path
