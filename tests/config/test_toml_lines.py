"""
The line of every key, whatever way TOML lets it be written.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.config import toml_lines

TEXT = """\
# comment with [table] and key = 1
title = "x # no comment"   # [no.table]

[a]
plain = 1
"quoted key" = '''
many
lines = 3
'''
'single.dotted' = \"\"\"
[not.a.table]
escaped \\\"\"\" end \"\"\"\"\"
dotted.key.here = 2026-11-23 08:25:00

[[list]]
x = [
  1,
  # comment ] in between
  "two ] ,",
  [3,
   4],
]
[[list]]
inline = { a = 1, b = { c = [1, 2] } }
[list.sub]
y = true
[[list.deep]]
z = 1.5e3
[b . c]
last = +inf
"""


def test_every_kind_of_key_has_its_line() -> None:
    where = toml_lines.lines(TEXT)

    assert {
        ("title",): 2,
        ("a",): 4,
        ("a", "plain"): 5,
        ("a", "quoted key"): 6,
        ("a", "single.dotted"): 10,
        ("a", "dotted", "key", "here"): 13,
        ("list", 0): 15,
        ("list", 0, "x", 0): 17,
        ("list", 0, "x", 1): 19,
        ("list", 0, "x", 2): 20,
        ("list", 0, "x", 2, 1): 21,
        ("list", 1): 23,
        ("list", 1, "inline", "b", "c", 1): 24,
        ("list", 1, "sub", "y"): 26,
        ("list", 1, "deep", 0, "z"): 28,
        ("b", "c", "last"): 30,
    }.items() <= where.items()


def test_windows_line_ends_count_once() -> None:
    assert 5 == toml_lines.lines(TEXT.replace("\n", "\r\n"))["a", "plain"]


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    where = toml_lines.lines(TEXT)

    assert 23 == toml_lines.line_of(where, ("list", 1, "missing"))
    assert None is toml_lines.line_of(where, ("nothing",))


def paths(value: Any, path: toml_lines.Path = ()) -> set[toml_lines.Path]:
    """Every path of what tomllib read."""
    found = {path} if path else set()
    if isinstance(value, dict):
        for key, item in value.items():
            found |= paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= paths(item, (*path, index))
    return found


def test_the_paths_are_those_that_tomllib_reads() -> None:
    assert paths(tomllib.loads(TEXT)) == set(toml_lines.lines(TEXT))


KEYS = st.sampled_from(["a", "b-c", '"q.k"', "'s k'", "d.e", 'f . "g"'])
VALUES = st.recursive(
    st.sampled_from(["1", '"s"', "'l'", '"""m\n"""', "true", "1979-05-27 07:32:00Z", '"\\""', "'''x'''"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + " , ".join(items) + "\n]"),
    max_leaves=5,
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]} # note"),
    KEYS.map(lambda key: f"[{key}]"),
    KEYS.map(lambda key: f"[[{key}]]"),
    st.just("# [comment]"),
    st.just(""),
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_whatever_tomllib_takes_is_mapped_whole(text: str) -> None:
    """
    An independent parser says which paths there are; each line that is told exists.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    where = toml_lines.lines(text)

    assert paths(tree) == set(where)
    assert all(1 <= line <= text.count("\n") + 1 for line in where.values())


@pytest.mark.parametrize("name", ["pyproject.toml", "Cargo.toml"])
def test_files_of_this_tree_are_mapped_whole(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text()

    assert paths(tomllib.loads(text)) == set(toml_lines.lines(text))
