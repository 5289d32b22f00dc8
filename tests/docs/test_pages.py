"""
The pages do not promise what is not in the tree: links, tests that are named, commands, options, metrics, log verbs.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from pymta.cli import command_line
from pymta.config import describe
from pymta.observe.events import EVENTS, Verb
from pymta.observe.metrics_reference import page as metrics_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*/*.md")],
)
PAGES = [path for path in PAGES if "out" not in path.parts]
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Without what is in fences."""
    return FENCED.sub("", text)


# ---- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose(path.read_text(encoding="utf-8")))
    local = [target for target in targets if "://" not in target]

    assert [] == [target for target in local if not (path.parent / target).exists()]


def test_the_index_names_every_page() -> None:
    index = text_of("docs/README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert set() == {name for name in pages if f"]({name})" not in index}


def test_the_code_map_has_every_room() -> None:
    code_map = text_of("ARCHITECTURE.md").partition("## The code map")[2].partition("## Invariants")[0]
    rooms = {f"{path.parent.name}/" for path in (ROOT / "python" / "pymta").glob("*/__init__.py")}
    crates = {path.parent.name for path in (ROOT / "rust").glob("*/Cargo.toml")}

    assert set() == {name for name in rooms | crates if not re.search(rf"\s{re.escape(name)}/?\s", code_map)}


# ---- decisions and changes -------------------------------------------------------------------------------------------


def test_decisions_are_numbered_in_the_index_and_have_their_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    index = text_of("docs/decisions/README.md")

    assert [f"{number:04}" for number in range(1, len(records) + 1)] == [path.name[:4] for path in records]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        title = text.splitlines()[0][len("# 0000 ") :]
        assert f"[{path.name[:4]}]({path.name}) | {title} |" in index
        positions = [text.index(f"**{part}.**") for part in ("Context", "Decision", "Consequences")]
        assert sorted(positions) == positions, path.name


def test_where_a_decision_is_carried_out_exists() -> None:
    """The files that records name; a name without a folder is beside the one before it."""
    for path in (ROOT / "docs" / "decisions").glob("0*.md"):
        last = ROOT
        for line in re.findall(
            r"\*\*Where\.\*\*(.*?)(?:\n\n|\Z)", path.read_text(encoding="utf-8"), re.DOTALL
        ):
            for name in re.findall(r"`([^`]+)`", line):
                found = [*ROOT.glob(name)] if "/" in name else []
                found = found or [*last.glob(name)] or [*last.parent.glob(name)]
                assert found, f"{path.name}: {name}"
                last = found[0] if found[0].is_dir() else found[0].parent


def test_a_changelog_fragment_has_a_kind_that_the_changelog_explains() -> None:
    kinds = set(re.findall(r"^\| `([a-z]+)` \|", text_of("CHANGELOG.md"), re.MULTILINE))
    names = [path.name for path in (ROOT / "changelog.d").iterdir()]
    wrong = [
        name
        for name in names
        if not (match := re.fullmatch(r"\d+(?:-[a-z-]+)?\.([a-z]+)\.md", name)) or match[1] not in kinds
    ]

    assert [] == wrong
    assert kinds


# ---- what is named in the text -------------------------------------------------------------------------------------


def test_every_attack_has_its_test() -> None:
    """`path::name` in attacks.md: the file is there and has a test of that name."""
    rows = [line.split("|") for line in text_of("docs/attacks.md").splitlines() if re.match(r"\| \d", line)]
    assert [str(number) for number in range(1, len(rows) + 1)] == [row[1].strip() for row in rows]
    for row in rows:
        named = re.findall(r"`([^`]+)`", row[4])
        assert named or row[3].strip().startswith("not there: "), row
        for test in named:
            path, _, name = test.partition("::")
            assert (ROOT / path).is_file(), test
            assert not name or re.search(rf"\b(?:def|fn) {name}\b", text_of(path)), test


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that call it."""

    def below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for word in command.list_commands(context):
                try:
                    found = command.get_command(context, word)
                except ModuleNotFoundError:
                    continue  # listed, and not written yet: then no page may name it
                if found is not None:
                    yield from below(f"{name} {word}", found)

    return below("pymta", command_line)


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/policy.md"])
def test_every_command_that_is_named_exists_with_its_options(page: str) -> None:
    """`pymta word word --option` in code: each word is a command's, each option that command's."""
    known = dict(commands())
    every_option = {option for command in known.values() for p in command.params for option in p.opts}
    code = re.findall(r"`([^`\n]+)`|^\$ (.+)$", text_of(page), re.MULTILINE)
    checked = 0
    for words in (" ".join(found).replace("|", " ").split() for found in code):
        if words[:1] == ["swaks"]:
            continue
        calls = [at for at, word in enumerate(words) if word == "pymta" or word.endswith("bin/pymta")]
        name, options = "pymta", every_option
        for word in words[calls[-1] + 1 :] if calls else words:
            if calls and f"{name} {word}" in known:
                name = f"{name} {word}"
                options = {option for p in known[name].params for option in p.opts} | {"--help"}
                checked += 1
            elif word.startswith("--"):
                assert word in options, f"{page}: {name} {word}"
            elif calls and isinstance(known[name], click.Group):
                raise AssertionError(f"{page}: {name} has no command {word}")

    assert checked > 2


@pytest.mark.parametrize(
    "page", ["README.md", "docs/operations.md", "docs/security.md", "docs/performance.md"]
)
def test_every_option_that_is_named_exists(page: str) -> None:
    """`section.option` and `[section]` in the text are of the configuration."""
    known = {
        section.heading.strip("[]"): {o.name for o in section.options} for section in describe.sections()
    }
    assert "listeners" in known
    for section, option in re.findall(r"`([a-z]+)\.([a-z_]+)`", prose(text_of(page))):
        if section in known:
            assert option in known[section], f"{page}: {section}.{option}"
    for name in re.findall(r"`\[\[?([a-z]+)\]\]?`", prose(text_of(page))):
        assert name in known, f"{page}: [{name}]"


def test_every_metric_that_is_named_exists() -> None:
    known = set(re.findall(r"`(pymta_[a-z_]+)`", metrics_page()))
    named = set(re.findall(r"\b(pymta_[a-z_]+)\b(?!-)", text_of("docs/operations.md")))

    assert set() == named - known
    assert len(named) > 5


def test_every_verb_of_the_log_is_explained_by_keys_that_it_has() -> None:
    table = text_of("docs/operations.md")
    by_verb = {event.__struct_config__.tag: event for event in EVENTS}
    rows = re.findall(r"^\| `([a-z]+)` \| ([^|]*) \| ([^|]*) \|$", table, re.MULTILINE)
    explained = {verb: look_at for verb, _, look_at in rows if verb in by_verb}

    assert set(get_args(Verb)) == set(explained)
    for verb, look_at in explained.items():
        keys = set(re.findall(r"`([a-z_]+)`", look_at))
        assert keys <= set(by_verb[verb].__struct_fields__), verb
