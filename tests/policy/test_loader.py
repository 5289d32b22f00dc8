"""A script is loaded by itself, its neighbours with it, and refused with one line where it cannot be used."""

import gc
import sys
from pathlib import Path

import pytest

from pymta.policy.loader import ScriptError, load_script
from tests.policy.scripts import write


def ours() -> set[str]:
    return {name for name in sys.modules if name.startswith("pymta_policy_")}


def test_hooks_are_found_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        from pymta.policy import accept, Session
        LIMIT = 3
        def connect(session): ...
        async def rcpt(session, forward_path): ...
        def helper(a, b, c): return connect
        """,
    )
    assert {"connect", "rcpt"} == set(load_script(path).hooks)


def test_two_loads_are_two_modules(tmp_path: Path) -> None:
    """
    Sessions in progress keep the old one, also where the file changed within the clock tick of its time stamp.
    """
    path = write(tmp_path, "def connect(session): return 1\n")
    first = load_script(path)
    write(tmp_path, "def connect(session): return 2\n")
    second = load_script(path)

    assert (1, 2) == (first.hooks["connect"](None), second.hooks["connect"](None))
    assert [] == list(tmp_path.rglob("*.pyc"))


def test_neighbours_are_imported_afresh_and_stay_private(tmp_path: Path) -> None:
    """
    `import customers` means the file beside the script: in each of the usual forms, also within a hook and from a
    package, and never as a module that anybody else would find.
    """
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists", "", "__init__.py")
    write(tmp_path / "lists", "from customers import NAME\nROWS = [NAME]\n", "blocked.py")
    write(tmp_path, "NAME = 'one'\n", "customers.py")
    source = """
        import customers
        import customers as c
        import lists.blocked
        from lists import blocked
        from customers import NAME
        from . import customers as relative
        import json  # there is a json.py beside the script, too
        def connect(session):
            import customers as late
            return [customers.NAME, c.NAME, NAME, relative.NAME, late.NAME, lists.blocked.ROWS[0], blocked.ROWS[0]]
        def hello(session, name):
            return json.dumps([])
        """
    write(tmp_path, "raise RuntimeError('not the standard library')", "json.py")
    first = load_script(write(tmp_path, source))
    write(tmp_path, "NAME = 'two'\n", "customers.py")
    second = load_script(write(tmp_path, source))

    assert (["one"] * 7, ["two"] * 7) == (first.hooks["connect"](None), second.hooks["connect"](None))
    assert "[]" == first.hooks["hello"](None, "")
    assert {"customers", "lists", "blocked"}.isdisjoint(sys.modules)
    assert str(tmp_path) not in sys.path


def test_a_script_that_nobody_holds_leaves_no_module_behind(tmp_path: Path) -> None:
    """
    A server that is reloaded every hour does not grow.
    """
    gc.collect()
    before = ours()
    write(tmp_path, "", "neighbour.py")
    script = load_script(write(tmp_path, "import neighbour\ndef connect(session): ...\n"))
    assert 3 == len(ours() - before)
    del script
    gc.collect()

    assert before == ours()


def test_what_looks_up_its_own_module_works(tmp_path: Path) -> None:
    """
    Dataclasses and msgspec find annotations through sys.modules.
    """
    path = write(
        tmp_path,
        """
        from __future__ import annotations
        import dataclasses, msgspec
        @dataclasses.dataclass
        class Row:
            name: dataclasses.InitVar[int]
        class Packed(msgspec.Struct):
            row: Inner
        class Inner(msgspec.Struct):
            n: int
        def connect(session):
            return msgspec.json.decode(b'{"row": {"n": 5}}', type=Packed).row.n
        """,
    )
    script = load_script(path)

    assert 5 == script.hooks["connect"](None)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import nothing_like_this", "policy.py:1: ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("x = 1\ndef rcpt(:\n", "policy.py:2: SyntaxError: invalid syntax"),
        ("x = 1\nx = y\n", "policy.py:2: NameError: name 'y' is not defined"),
        ("\nraise SystemExit('bye')", "policy.py:2: SystemExit: bye"),
        ("import broken", "broken.py:2: ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\nlines')", "policy.py:1: ValueError: two lines"),
        (
            "\ndef rcpt(session): ...",
            "policy.py:2: rcpt(session) cannot be called as rcpt(session, forward_path, [recipient])",
        ),
        ("def connect(): ...", "policy.py:1: connect() cannot be called as connect(session)"),
        (
            "def auth(a, b, c): ...",
            "policy.py:1: auth(a, b, c) cannot be called as auth(session, credentials)",
        ),
        (
            "def hello(a, b, *, c): ...",
            "policy.py:1: hello(a, b, *, c) cannot be called as hello(session, name)",
        ),
        ("def connect(session): yield", "policy.py:1: connect() is a generator; a hook returns its verdict"),
        (
            "async def connect(session): yield",
            "policy.py:1: connect() is a generator; a hook returns its verdict",
        ),
        ("message = 'hello'", "policy.py: message is the name of a hook and must be a function"),
        ("class route: pass", "policy.py: route is the name of a hook and must be a function"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, source: str, problem: str
) -> None:
    """
    The line says which file and which line, and nothing of the attempt is left behind.
    """
    write(tmp_path, "\n1 / 0\n", "broken.py")
    before = ours()
    with pytest.raises(ScriptError) as caught:
        load_script(write(tmp_path, source))

    assert f"{tmp_path}/{problem}" == str(caught.value)
    assert before == ours()


def test_a_missing_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="no such file"):
        load_script(tmp_path / "nowhere.py")


@pytest.mark.parametrize(
    "source",
    [
        "def mail(session, reverse_path): return 2",
        "def mail(session, reverse_path, parameters=None): return 3",
        "def mail(*arguments): return len(arguments)",
        "import functools\ndef f(x, session, reverse_path): return 2\nmail = functools.partial(f, 1)",
        "class Hook:\n  def __call__(self, session, path): return 2\nmail = Hook()",
    ],
)
def test_a_hook_is_called_with_what_it_takes(tmp_path: Path, source: str) -> None:
    """
    The argument in brackets may be left out; functions are not the only callables.
    """
    script = load_script(write(tmp_path, source))
    count = script.argument_count("mail")

    assert count == script.hooks["mail"](*range(count))


@pytest.mark.parametrize(
    ("function", "meant"),
    [
        ("helo", "hello"),
        ("ehlo", "hello"),
        ("mail_from", "mail"),
        ("rcpt_to", "rcpt"),
        ("on_message", "message"),
        ("mesage", "message"),
        ("delivery", "delivered"),
        ("bounced", "failed"),
        ("deferrred", "deferred"),
        ("Connect", "connect"),
        ("quota_of", None),
        ("_helo", None),
        ("read", None),
    ],
)
def test_a_misspelt_hook_is_pointed_out(tmp_path: Path, function: str, meant: str | None) -> None:
    path = write(tmp_path, f"\ndef {function}(*arguments): ...\n")
    warnings = load_script(path).warnings
    expected = (
        []
        if meant is None
        else [f"{path}:2: {function}() is not a hook and is never called; is {meant}() meant?"]
    )

    assert expected == warnings


def test_a_function_that_is_called_is_no_misspelt_hook(tmp_path: Path) -> None:
    path = write(tmp_path, "def data(x): ...\ndef rcpt(session, path):\n  return (lambda: data(path))()\n")

    assert [] == load_script(path).warnings
