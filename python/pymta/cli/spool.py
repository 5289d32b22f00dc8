"""
`pymta spool ...`: look into the spool's files, with or without a running server.
"""

from __future__ import annotations

from pathlib import Path

import click

from pymta.cli import place
from pymta.cli.output import octets, plain, print_json
from pymta.cli.spool_format import Record, SegmentHead, id_text, read_head, records, segment_files


@click.group(name="spool")
def command() -> None:
    """
    Look into the spool's files.

    Only reads. What to do with messages is `pymta queue`, which asks the running server.
    """


@command.command(name="dump", short_help="Print every segment and record.")
@place.options
@click.option("--id", "spool_id", help="Only records about this message.")
@click.option("--segments", "only_heads", is_flag=True, help="Only the segments, not their records.")
@click.option("--verify", is_flag=True, help="Also check the checksums of bodies: about 10 MB a second.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def dump(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    spool_id: str | None,
    only_heads: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """
    Print every segment and record of the spool, in the order in which they lie on the disk.

    A reader of its own, after docs/spool-format.md, that shares no code with the server's. Exit code 1 where a checksum
    is wrong or a segment has no valid header.
    """
    folder = (
        data.absolute()
        if data is not None
        else place.find(config, no_config, data).settings.server.data_folder
    )
    from pymta.spool import shards

    try:
        parts = [shards.folder_of(folder, shard) for shard in shards.existing(folder) or [1]]
        files = [file for part in parts for file in segment_files(part)]
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    damaged = 0
    shown = None
    for file in files:
        if len(parts) > 1 and not as_json and file.parent != shown:
            shown = file.parent
            click.echo(f"{shown.parent.name}/")
        head = read_head(file)
        if head is None:
            damaged += 1
            click.echo(f"{file.name}: no valid header", err=True)
            continue
        _print_head(file, head, as_json)
        if only_heads or head.state != "active":
            continue
        for record in records(file, head, verify=verify):
            damaged += record.whole is False
            if spool_id is None or _is_about(record, spool_id.lower()):
                _print_record(file, record, as_json)
    if damaged:
        raise click.ClickException(
            f"{damaged} damaged; beside a running server the newest records may only look it"
        )


def _is_about(record: Record, spool_id: str) -> bool:
    return record.spool_id == spool_id or any(spool_id == gone for gone, _ in record.done)


def _print_head(file: Path, head: SegmentHead, as_json: bool) -> None:
    if as_json:
        _print_line({"file": file.name, "segment": head})
        return
    cuts = f", cut {', '.join(f'{number}@{end}' for number, end in head.cuts)}" if head.cuts else ""
    click.echo(
        f"{file.name}  segment {head.number}, {head.state}, {octets(head.segment_octets)}B, format {head.version}, "
        f"ids above {id_text(head.id_floor)}, after segment {head.before[0]} that ends at {head.before[1]}{cuts}"
    )


def _print_record(file: Path, record: Record, as_json: bool) -> None:
    if as_json:
        _print_line({"file": file.name, "record": record})
        return
    flaw = "  DAMAGED" if record.whole is False else ""
    click.echo(f"  {record.offset:>10}  {record.kind:<8}{record.octets:>9}  {plain(_about(record))}{flaw}")


def _about(record: Record) -> str:
    match record.kind:
        case "message" if record.spool_id:
            more = f" and {len(record.recipients) - 1} more" if len(record.recipients) > 1 else ""
            first = record.recipients[0] if record.recipients else ""
            due = "held" if record.due_ms < 0 else f"due {record.due_ms}"
            where = f", body in {len(record.extents)} chunks" if record.extents else ""
            return f"{record.spool_id}  <{record.reverse_path}> to <{first}>{more}, {due}{where}"
        case "status" if record.spool_id:
            states = ", ".join(
                f"{index}{f'-{index + run - 1}' if run > 1 else ''} {state} {reply}".strip()
                for index, run, state, reply in record.statuses
            )
            return f"{record.spool_id}  attempts {record.attempts}; {states}"
        case "done":
            return " ".join(gone for gone, _ in record.done)
        case _:
            return ""


def _print_line(value: object) -> None:
    print_json(value, indent=0)
