"""
A stored message in pieces, as programs and files of this host have it: LF lines, Return-Path and Delivered-To on top.

Not for Maildirs, whose content never becomes a Python object. A piece at a time, so that a large message does not either.
"""

from collections.abc import Iterator

from pymta._core import QueuedMessage

__all__ = ["local_fields", "unix_pieces"]

PIECE_OCTETS = 128 * 1024


def local_fields(message: QueuedMessage, index: int) -> bytes:
    """The fields that final delivery puts on top (RFC 5321 §4.4), with LF."""
    envelope = message.envelope
    return (
        f"Return-Path: <{envelope.reverse_path_text}>\nDelivered-To: {envelope.forward_path_text(index)}\n"
    ).encode()


def unix_pieces(message: QueuedMessage, index: int) -> Iterator[bytes]:
    """
    The message for one recipient. OSError where it cannot be read.

    A message that is no lines (BINARYMIME) keeps its line endings.
    """
    yield local_fields(message, index)
    is_lines = message.envelope.body != "BINARYMIME"
    offset, held = 0, b""
    while piece := message.content(PIECE_OCTETS, offset=offset):
        offset += len(piece)
        if is_lines:
            piece = held + piece
            # A CR at the end may be half of a CRLF.
            piece, held = (piece[:-1], b"\r") if piece.endswith(b"\r") else (piece, b"")
            piece = piece.replace(b"\r\n", b"\n")
        yield piece
    if held:
        yield held
