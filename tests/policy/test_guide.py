"""docs/policy.md is right: its files are written down and run, its snippets are loaded as scripts."""

import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

import pymta.policy
from pymta.policy.loader import HOOKS, load_script
from pymta.policy.message import Message, QueuedMail
from pymta.policy.session import Session
from pymta.testing import PolicyTest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)

FILES = {match["file"]: match["code"] for match in BLOCK.finditer(GUIDE) if match["file"]}
SNIPPETS = [match["code"] for match in BLOCK.finditer(GUIDE) if not match["file"]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the guide's files, as a reader would have it."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_guide_has_what_this_file_looks_for() -> None:
    assert {"policy.py", "test_policy.py", "test_more.py"} == set(FILES)
    assert 5 <= len(SNIPPETS)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("test_")])
def test_the_tests_of_the_guide_pass(folder: Path, name: str) -> None:
    tests: dict[str, Callable[[], None]] = {
        key: value for key, value in runpy.run_path(str(folder / name)).items() if key.startswith("test_")
    }
    assert tests
    for test in tests.values():
        test()


def test_the_first_policy_refuses_a_program_and_holds_what_is_large(folder: Path) -> None:
    """
    What the first screen promises and its own test does not show.
    """
    program = (
        "MIME-Version: 1.0\nContent-Type: application/octet-stream\n"
        'Content-Disposition: attachment; filename="Setup.EXE"\n\nMZ\n'
    )
    with PolicyTest(folder / "policy.py") as t:
        assert 554 == t.message(program).code
        assert "hold" == t.message("Subject: film\n\n" + "0123456789\n" * 2_000_000).action


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_is_a_script_with_hooks(tmp_path: Path, code: str) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(f"from pymta.policy import *\n{code}")
    script = load_script(path)

    assert script.hooks
    assert [] == script.warnings


def test_snippets_do_what_the_text_says(tmp_path: Path) -> None:
    """
    The hello and route snippets, and the edit, run.
    """
    path = tmp_path / "policy.py"
    path.write_text("from pymta.policy import *\n" + "\n".join(SNIPPETS[:3]))
    with PolicyTest(path) as t:
        secret = t.message("Subject: =?utf-8?q?=5Bsecret=5D?= plans\nX-Internal-Note: x\n\nbody\n")

        assert 550 == t.hello("Example.Test").code
        assert secret.route is not None
        assert "verified" == secret.route.tls
        assert [] == secret.fields("X-Internal-Note")
        assert pymta.policy.RouteChoice(source="192.0.2.25") == t.route(
            "a.example", tags={"kind": "newsletter"}
        )
        assert pymta.policy.RouteChoice(next_hop="fallback.example.net") == t.route("a.example", attempts=4)
        assert t.route("a.example") is None


def test_every_hook_is_in_the_table_with_its_arguments() -> None:
    for name, arguments in HOOKS.items():
        assert f"`{name}({', '.join(arguments)})`" in GUIDE, name


@pytest.mark.parametrize("cls", [Session, Message, QueuedMail])
def test_everything_public_is_in_the_guide(cls: type) -> None:
    """
    What a script may use is named somewhere in the guide, but for what the server's own side calls.
    """
    server_side = {"begin_transaction", "note", "decisions", "protocol", "annotations"}
    names = {name for name in dir(cls) if not name.startswith("_")} - server_side
    missing = {name for name in names if not re.search(rf"\b{name}\b", GUIDE)}

    assert set() == missing


def test_everything_importable_is_documented() -> None:
    """
    Rust's classes are documented in the stub, which is what an editor shows.
    """
    for name in pymta.policy.__all__:
        offered = getattr(pymta.policy, name)
        assert inspect.getdoc(offered) or offered.__module__ == "pymta._core", name
