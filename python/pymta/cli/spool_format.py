"""
A reader of the spool's files that shares no code with the one that writes them (rust/pymta-spool, docs/spool-format.md):
for a person who wants to see what is on the disk, and as a second opinion about the format.

It only reads, needs no lock and works beside a running server, whose newest records may then look torn. It follows the
offset tables; it does not do what recovery does (order of segments, remnants of the past, what a gap means).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["Record", "SegmentHead", "crc32c", "id_text", "read_head", "records", "segment_files"]

_SLOT_OCTETS: Final = 2048
_DATA_OFFSET: Final = 4096
_ALIGN: Final = 8
_HEADER_OCTETS: Final = 32
_SEGMENT_MAGIC: Final = b"PYMTASEG"
_RECORD_MAGIC: Final = b"\xa7pmR"
_KINDS: Final = {1: "message", 2: "chunk", 3: "status", 4: "done"}
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_BODIES: Final = ("7BIT", "8BITMIME", "BINARYMIME")
_STATES: Final = ("pending", "delivered", "failed", "expired", "dropped", "deferred", "delayed")
_HELD: Final = (1 << 64) - 1


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC: Final = _crc_table()


def crc32c(octets: bytes | memoryview, begun: int = 0) -> int:
    """CRC-32C (Castagnoli) of *octets*, continuing from *begun*. About 10 MB a second."""
    crc, table = begun ^ 0xFFFFFFFF, _CRC
    for octet in octets:
        crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


def id_text(number: int) -> str:
    """A spool id as it is written everywhere else: 13 characters."""
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(60, -1, -5))


class SegmentHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newer valid one of a segment's two header slots."""

    version: int
    state: str
    """active or free."""
    number: int
    generation: int
    id_floor: int
    segment_octets: int
    salt: int
    before: tuple[int, int]
    """The segment before: number, and where its records end."""
    cuts: tuple[tuple[int, int], ...]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record. What does not apply to its kind is left at its default."""

    offset: int
    kind: str
    octets: int
    """Of the payload."""
    whole: bool | None = True
    """False where a checksum is wrong; None where the tail was not looked at."""
    spool_id: str = ""
    due_ms: int = 0
    """-1: held."""
    spooled_at_ms: int = 0
    group: str = ""
    reverse_path: str = ""
    recipients: tuple[str, ...] = ()
    body: str = ""
    body_octets: int = 0
    header_octets: int = 0
    extents: tuple[tuple[int, int, int], ...] = ()
    """Where the body is, when not here: segment, offset, octets."""
    attempts: int = 0
    statuses: tuple[tuple[int, int, str, str], ...] = ()
    """First index, how many, state, reply."""
    done: tuple[tuple[str, int], ...] = ()
    """Messages that left, and the segment that may still hold one's record."""


def segment_files(spool_folder: Path) -> list[Path]:
    """The segment files, in order of name. OSError where there is no spool."""
    return sorted(file for file in (spool_folder / "segments").iterdir() if file.suffix == ".seg")


def read_head(file: Path) -> SegmentHead | None:
    """A segment's header; None where neither slot is valid."""
    with file.open("rb") as opened:
        slots = [opened.read(_SLOT_OCTETS), opened.read(_SLOT_OCTETS)]
    heads = [head for head in map(_head_of, slots) if head is not None]
    return max(heads, key=lambda head: head.generation, default=None)


def _head_of(slot: bytes) -> SegmentHead | None:
    if len(slot) < _SLOT_OCTETS or slot[:8] != _SEGMENT_MAGIC:
        return None
    if crc32c(slot[:-4]) != int.from_bytes(slot[-4:], "little"):
        return None
    version, state, _, number, generation, floor, octets, salt, before, end, cut_count = struct.unpack_from(
        "<HBBIQQIIIII", slot, 8
    )
    cuts = tuple(struct.unpack_from("<II", slot, 52 + 8 * index) for index in range(min(cut_count, 128)))
    return SegmentHead(
        version=version,
        state={1: "active", 2: "free"}.get(state, f"unknown ({state})"),
        number=number,
        generation=generation,
        id_floor=floor,
        segment_octets=octets,
        salt=salt,
        before=(before, end),
        cuts=cuts,
    )


def records(file: Path, head: SegmentHead, *, verify: bool = False) -> Iterator[Record]:
    """
    The records of a segment's present epoch, from the front, skipping what is none.

    Args:
        file: The segment.
        head: Its header.
        verify: Also check the tails (bodies), which takes a second for ten megabytes.
    """
    octets = memoryview(file.read_bytes())
    offset = _DATA_OFFSET
    while offset + _HEADER_OCTETS <= len(octets):
        fixed = _header_at(octets, offset, head.number)
        if fixed is None:
            offset = _next_magic(octets, offset + 1)
            continue
        kind, payload_octets, head_octets, tail_crc, head_crc = fixed
        start = offset + _HEADER_OCTETS
        record_head = octets[start : start + head_octets]
        tail = octets[start + head_octets : start + payload_octets]
        whole: bool | None = crc32c(record_head, crc32c(octets[offset : offset + 28], head.salt)) == head_crc
        if not whole:
            yield Record(offset=offset, kind=kind, octets=payload_octets, whole=False)
            offset = _next_magic(octets, offset + 1)
            continue
        whole = crc32c(tail, head.salt) == tail_crc if verify else None if tail else True
        yield _decoded(offset, kind, payload_octets, whole, bytes(record_head))
        offset += (_HEADER_OCTETS + payload_octets + _ALIGN - 1) // _ALIGN * _ALIGN


def _header_at(octets: memoryview, offset: int, epoch: int) -> tuple[str, int, int, int, int] | None:
    magic, payload, head, its_epoch, _, kind, zero, tail_crc, head_crc = struct.unpack_from(
        "<4sIIIIB3sII", octets, offset
    )
    if magic != _RECORD_MAGIC or its_epoch != epoch or kind not in _KINDS or zero != bytes(3):
        return None
    if head > payload or offset + _HEADER_OCTETS + payload > len(octets):
        return None
    return _KINDS[kind], payload, head, tail_crc, head_crc


def _next_magic(octets: memoryview, at: int) -> int:
    raw = octets.obj
    assert isinstance(raw, bytes), "made from bytes above"
    while True:
        found = raw.find(_RECORD_MAGIC, at)
        if found < 0:
            return len(octets)
        if found % _ALIGN == 0:
            return found
        at = found + 1


# ---- payloads --------------------------------------------------------------------------------------------------------


class _Fields:
    """Takes fields off the front of octets; EOFError where there are too few."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) < count:
            raise EOFError
        self._at += count
        return taken

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "little")

    def text(self, octets: int) -> str:
        return self.take(octets).decode("utf-8", "replace")

    def short_text(self) -> str:
        return self.text(self.number(2))

    @property
    def left(self) -> int:
        return len(self._octets) - self._at


def _decoded(offset: int, kind: str, payload_octets: int, whole: bool | None, head: bytes) -> Record:
    try:
        match kind:
            case "message":
                return _message(offset, payload_octets, whole, _Fields(head))
            case "status":
                return _status(offset, payload_octets, whole, _Fields(head))
            case "done":
                fields = _Fields(head)
                done = tuple((id_text(fields.number(8)), fields.number(4)) for _ in range(len(head) // 12))
                return Record(offset=offset, kind=kind, octets=payload_octets, whole=whole, done=done)
            case _:
                body_octets = payload_octets - len(head)
                return Record(
                    offset=offset, kind=kind, octets=payload_octets, whole=whole, body_octets=body_octets
                )
    except EOFError:  # whole, and yet not as the tables say: another version, or a bug
        return Record(offset=offset, kind=kind, octets=payload_octets, whole=False)


def _message(offset: int, payload_octets: int, whole: bool | None, fields: _Fields) -> Record:
    number, due_ms, spooled_at_ms, body_octets = (fields.number(8) for _ in range(4))
    envelope_octets, annotations_octets, header_octets, extent_count, _ = (fields.number(4) for _ in range(5))
    group_octets, _ = fields.number(2), fields.number(2)
    group = fields.text(group_octets)
    body, reverse_path, recipients = _envelope(_Fields(fields.take(envelope_octets)))
    fields.take(annotations_octets + header_octets)
    return Record(
        offset=offset,
        kind="message",
        octets=payload_octets,
        whole=whole,
        spool_id=id_text(number),
        due_ms=-1 if due_ms == _HELD else due_ms,
        spooled_at_ms=spooled_at_ms,
        group=group,
        reverse_path=reverse_path,
        recipients=recipients,
        body=body,
        body_octets=body_octets,
        header_octets=header_octets,
        extents=tuple((fields.number(4), fields.number(4), fields.number(4)) for _ in range(extent_count)),
    )


def _envelope(fields: _Fields) -> tuple[str, str, tuple[str, ...]]:
    body, flags = fields.number(1), fields.number(1)
    reverse_path = fields.short_text() if flags & 2 else ""
    if flags & 16:
        fields.short_text()  # ENVID
    recipients = []
    for _ in range(fields.number(4)):
        recipients.append(fields.short_text())
        if fields.number(1) & 16:
            fields.short_text(), fields.short_text()  # ORCPT: type and address
    return _BODIES[min(body, 2)], reverse_path, tuple(recipients)


def _status(offset: int, payload_octets: int, whole: bool | None, fields: _Fields) -> Record:
    number, due_ms, attempts = fields.number(8), fields.number(8), fields.number(4)
    flags, _, group_octets = fields.number(1), fields.number(1), fields.number(2)
    entry_count = fields.number(4)
    group = fields.text(group_octets)
    statuses = []
    for _ in range(entry_count):
        index, run, state, _ = fields.number(4), fields.number(4), fields.number(1), fields.number(1)
        reply = fields.short_text()
        statuses.append((index, run, _STATES[state] if state < len(_STATES) else str(state), reply))
    return Record(
        offset=offset,
        kind="status",
        octets=payload_octets,
        whole=whole,
        spool_id=id_text(number),
        due_ms=-1 if flags & 2 else due_ms,
        group=group,
        attempts=attempts,
        statuses=tuple(statuses),
    )
