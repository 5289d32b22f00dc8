"""
docs/rfc.md, made from docs/rfc/status.tsv: `python -m tests.docs.rfc_page > docs/rfc.md`.

It judges nothing: the table says what is obeyed and where. Whether the table can be right at all (files that exist,
RFCs that the code names) is tested in test_rfc.py.
"""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "rfc" / "status.tsv"
COLUMNS = ("rfc", "title", "section", "status", "where", "note")
STATUSES = {
    "yes": "obeyed, with what the note says",
    "partly": "some of it",
    "differs": "not obeyed, on purpose; the note says how",
    "no": "not there",
}

HEAD = """# Which RFC is obeyed where

Made from [`rfc/status.tsv`](rfc/status.tsv) by `python -m tests.docs.rfc_page`; a test compares them, and fails too when
the code names an RFC that the table does not have. Reasons for what differs are in [decisions](decisions/README.md).
"""


class Row(NamedTuple):
    """A line of the table, as written."""

    rfc: str
    title: str
    section: str
    status: str
    where: str
    note: str


def read_table() -> list[Row]:
    """
    The rows, without the heading.

    Raises:
        ValueError: A line has not six columns, or the heading is another.
    """
    heading, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    if tuple(heading.split("\t")) != COLUMNS:
        raise ValueError(f"expected the columns {COLUMNS}")
    try:
        return [Row(*line.split("\t")) for line in lines]
    except TypeError as error:
        raise ValueError(f"a line has not {len(COLUMNS)} columns: {error}") from None


def page(rows: list[Row]) -> str:
    """The page: what is there first, then what is not."""
    parts = [HEAD, "| status | |", "| --- | --- |"]
    parts += [f"| {status} | {meaning} |" for status, meaning in STATUSES.items()]
    parts += ["", "| RFC | section | status | where | |", "| --- | --- | --- | --- | --- |"]
    missing = []
    for row in rows:
        if row.status == "no" and not row.where:
            missing.append(f"RFC {row.rfc} ({row.title})")
            continue
        name = f"**{row.rfc}** {row.title}" if row.title else row.rfc
        where = " ".join(f"[{Path(path).name}](../{path})" for path in row.where.split())
        parts.append(f"| {name} | {row.section} | {row.status} | {where} | {row.note} |")
    parts += ["", f"Not there: {', '.join(missing)}.", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(read_table()), end="")
