"""
The reader of the spool's files against files laid out here by the tables of the format, whole and damaged.
"""

import json
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pymta.cli import command_line
from pymta.cli.spool_format import crc32c, id_text, read_head, records, segment_files

SALT = 0x5A17C0DE
EPOCH = 7
ID = 0x0123456789ABCDEF


def short(text: str) -> bytes:
    return struct.pack("<H", len(text.encode())) + text.encode()


def segment_head(*, generation: int = 1, state: int = 1, cuts: tuple[tuple[int, int], ...] = ()) -> bytes:
    body = b"PYMTASEG" + struct.pack(
        "<HBBIQQIIIII", 1, state, 0, EPOCH, generation, 99, 1 << 20, SALT, 6, 5000, len(cuts)
    )
    body = (body + b"".join(struct.pack("<II", *cut) for cut in cuts)).ljust(2044, b"\0")
    return body + struct.pack("<I", crc32c(body))


def record(kind: int, head: bytes, tail: bytes = b"", *, epoch: int = EPOCH) -> bytes:
    fixed = b"\xa7pmR" + struct.pack(
        "<IIIIB3xI", len(head) + len(tail), len(head), epoch, 4096, kind, crc32c(tail, SALT)
    )
    whole = fixed + struct.pack("<I", crc32c(head, crc32c(fixed, SALT))) + head + tail
    return whole.ljust(-(-len(whole) // 8) * 8, b"\0")


ENVELOPE = (
    bytes([1, 1 | 2 | 16])
    + short("a@example.net")
    + short("envid")
    + struct.pack("<I", 2)
    + short("b@example.org")
    + bytes([0])
    + short("c\x1b[2J@bücher.example")
    + bytes([16])
    + short("rfc822")
    + short("old@example.org")
)


def message(due_ms: int = 2_000, extents: tuple[tuple[int, int, int], ...] = ()) -> bytes:
    group, header_section = b"example.org", b"Subject: x\r\n\r\n"
    return (
        struct.pack("<QQQQ", ID, due_ms, 1_000, 300)
        + struct.pack("<IIIII", len(ENVELOPE), 4, len(header_section), len(extents), 2)
        + struct.pack("<HH", len(group), 0)
        + group
        + ENVELOPE
        + b"anno"
        + header_section
        + b"".join(struct.pack("<III", *extent) for extent in extents)
    )


STATUS = (
    struct.pack("<QQIBBHI", ID, 9_000, 3, 0, 0, 11, 1)
    + b"example.org"
    + struct.pack("<IIBB", 0, 2, 1, 0)
    + short("250 2.0.0 ok")
)
DONE = struct.pack("<QI", ID, EPOCH)


def lay_out(folder: Path, *parts: bytes, head: bytes | None = None) -> Path:
    segments = folder / "spool" / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    file = segments / "00000000.seg"
    first = segment_head() if head is None else head
    file.write_bytes(first.ljust(2048, b"\0") + bytes(2048) + b"".join(parts) + bytes(1000))
    return file


def test_the_checksum_is_castagnolis() -> None:
    """
    The known answer of RFC 3720 §B.4, and that it can be continued.
    """
    assert 0xE3069283 == crc32c(b"123456789")
    assert 0x8A9136AA == crc32c(bytes(32))
    assert crc32c(b"123456789") == crc32c(b"456789", crc32c(b"123"))


def test_ids_are_written_as_everywhere() -> None:
    """
    The same vectors as in rust/pymta-types/src/id.rs: thirteen characters that sort like the number.
    """
    numbers = [0, 1, 31, 32, 1 << 40, (1 << 64) - 1]
    texts = [id_text(number) for number in numbers]

    assert sorted(texts) == texts
    assert ("0000000000000", "000000000000z", "fzzzzzzzzzzzz") == (texts[0], texts[2], texts[-1])


def test_every_kind_of_record_is_read_by_its_table(tmp_path: Path) -> None:
    file = lay_out(
        tmp_path,
        record(1, message(), b"x" * 300),
        record(2, bytes(16), b"y" * 50),
        record(3, STATUS),
        record(4, DONE),
    )
    head = read_head(file)
    assert head is not None

    a_message, chunk, status, done = records(file, head, verify=True)

    assert (id_text(ID), "a@example.net", ("b@example.org", "c\x1b[2J@bücher.example")) == (
        a_message.spool_id,
        a_message.reverse_path,
        a_message.recipients,
    )
    assert ("8BITMIME", 300, "example.org", 2_000, True) == (
        a_message.body,
        a_message.body_octets,
        a_message.group,
        a_message.due_ms,
        a_message.whole,
    )
    assert ("chunk", 50) == (chunk.kind, chunk.body_octets)
    assert (3, ((0, 2, "delivered", "250 2.0.0 ok"),)) == (status.attempts, status.statuses)
    assert ((id_text(ID), EPOCH),) == done.done


def test_the_newer_of_two_header_slots_counts(tmp_path: Path) -> None:
    file = lay_out(
        tmp_path, head=segment_head(generation=2, cuts=((3, 8192),)) + segment_head(generation=3, state=2)
    )
    head = read_head(file)

    assert head is not None
    assert ("free", 3) == (head.state, head.generation)
    torn = bytearray(file.read_bytes())
    torn[2048 + 20] ^= 1
    file.write_bytes(torn)
    head = read_head(file)
    assert head is not None
    assert ("active", 2, ((3, 8192),)) == (head.state, head.generation, head.cuts)


def test_remnants_of_another_epoch_are_none_of_ours(tmp_path: Path) -> None:
    file = lay_out(tmp_path, record(4, DONE), record(4, DONE, epoch=6), record(4, DONE))
    head = read_head(file)
    assert head is not None

    assert 2 == len(list(records(file, head)))


@pytest.mark.parametrize("at", range(0, 200, 3))
def test_any_damage_is_told_and_what_is_behind_it_is_still_found(tmp_path: Path, at: int) -> None:
    """
    Any octet of the first record changed: it is gone or marked, never shown as whole, and the second one is there.
    """
    first = record(1, message(), b"x" * 300)
    damaged = bytearray(first)
    damaged[at] ^= 0x10
    file = lay_out(tmp_path, bytes(damaged), record(4, DONE))
    head = read_head(file)
    assert head is not None

    found = list(records(file, head, verify=True))

    assert ["done"] == [one.kind for one in found if one.whole]


# ---- the command -----------------------------------------------------------------------------------------------------


def dump(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["spool", "dump", "--data", str(folder), *arguments])


def test_dump_prints_a_line_for_each_record_and_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    lay_out(
        tmp_path, record(1, message(due_ms=(1 << 64) - 1), b"x" * 300), record(3, STATUS), record(4, DONE)
    )

    result = dump(tmp_path)

    assert 0 == result.exit_code
    assert 4 == len(result.output.splitlines())
    assert f"{id_text(ID)}  <a@example.net> to <b@example.org> and 1 more, held" in result.output
    assert "0-1 delivered 250 2.0.0 ok" in result.output
    assert "\x1b" not in dump(tmp_path, "--json").output
    assert 1 == len(dump(tmp_path, "--segments").output.splitlines())


def test_dump_in_json_is_one_object_a_line(tmp_path: Path) -> None:
    lay_out(tmp_path, record(1, message(extents=((7, 4096, 300),))), record(4, DONE))

    lines = [json.loads(line) for line in dump(tmp_path, "--json").output.splitlines()]

    assert EPOCH == lines[0]["segment"]["number"]
    assert ["message", "done"] == [line["record"]["kind"] for line in lines[1:]]
    assert [[7, 4096, 300]] == lines[1]["record"]["extents"]


def test_dump_of_one_message(tmp_path: Path) -> None:
    lay_out(tmp_path, record(3, STATUS), record(2, bytes(16), b"y"), record(4, DONE))

    output = dump(tmp_path, "--id", id_text(ID).upper()).output

    assert ["status", "done"] == [line.split()[1] for line in output.splitlines()[1:]]


def test_damage_is_exit_code_1(tmp_path: Path) -> None:
    broken = bytearray(record(3, STATUS))
    broken[40] ^= 1
    lay_out(tmp_path, bytes(broken))

    result = dump(tmp_path)

    assert 1 == result.exit_code
    assert "DAMAGED" in result.output


def test_no_spool_is_one_line(tmp_path: Path) -> None:
    result = dump(tmp_path)

    assert (1, f"Error: {tmp_path}/spool/segments: No such file or directory\n") == (
        result.exit_code,
        result.output,
    )


def test_the_segments_are_found(tmp_path: Path) -> None:
    file = lay_out(tmp_path)
    (file.parent / "README").touch()

    assert [file] == segment_files(tmp_path / "spool")
