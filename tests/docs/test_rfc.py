"""
The table of RFCs can be right: its files exist, its page is current, and no RFC that the code names is left out.
"""

import re
from collections import Counter

import pytest

from tests.docs.rfc_page import ROOT, STATUSES, Row, page, read_table

ROWS = read_table()

# Named in the code only to explain something: a history, a definition, a form of writing.
ONLY_MENTIONED = {
    "733": "where user%host comes from",
    "822": "what IMAP names whole messages after",
    "1034": "what a recursive server sends",
    "1047": "duplicates",
    "1428": "the name of an unknown charset",
    "1700": "LMTP's port",
    "1847": "what multipart/signed covers",
    "2181": "what a name may hold",
    "2277": "which language i-default is",
    "2307": "how LDAP writes a stored password",
    "2554": "an old form of AUTH=",
    "3339": "instants in our own log",
    "4513": "what a bind without a password means",
    "4515": "how a filter is written",
    "4516": "what an LDAP URL is",
    "4519": "userPassword",
    "4647": "how a language range is cut",
    "5280": "how long a common name may be",
    "5890": "what A-labels and U-labels are",
    "6052": "NAT64 addresses",
    "6066": "where a client names the server in its ClientHello",
    "6750": "the grammar of a bearer token",
    "7301": "where it offers protocols",
    "8098": "why a reader's program sends with the null reverse-path",
    "8446": "the form of a ClientHello",
    "9499": "what a stub resolver is",
}


def test_the_page_is_made_of_the_table() -> None:
    assert page(ROWS) == (ROOT / "docs" / "rfc.md").read_text(encoding="utf-8"), (
        "python -m tests.docs.rfc_page > docs/rfc.md"
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rfc} {row.section}".strip())
def test_a_row_says_something_that_can_be_looked_up(row: Row) -> None:
    """A status of the closed list, files that exist, and a reason where it is not simply obeyed."""
    assert row.status in STATUSES
    assert row.rfc.isdigit()
    assert [] == [path for path in row.where.split() if not (ROOT / path).is_file()]
    assert bool(row.where) or row.status == "no"
    if row.status in ("partly", "differs"):
        assert row.note


def test_a_section_has_one_row_and_an_rfc_one_title() -> None:
    assert [] == [key for key, count in Counter((row.rfc, row.section) for row in ROWS).items() if count > 1]
    titles = Counter(row.rfc for row in ROWS if row.title)
    assert {row.rfc: 1 for row in ROWS} == dict(titles)


def test_every_rfc_that_the_code_names_is_in_the_table() -> None:
    known = {row.rfc for row in ROWS} | set(ONLY_MENTIONED)
    missing: dict[str, str] = {}
    named: set[str] = set()
    for folder in ("python/pymta", "rust"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in (".py", ".pyi", ".rs") or "target" in path.parts:
                continue
            text = path.read_text(encoding="utf-8")
            for number in re.findall(r"\bRFCs? ?(\d{3,4})\b(?!\.[A-Z])", text):
                named.add(number)
                if number not in known:
                    missing[number] = str(path.relative_to(ROOT))

    assert {} == missing
    assert len(named) > 40
