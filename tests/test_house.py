"""
The house rules that a machine can check: words, sizes, docstrings, excuses, paths.

Not a style checker (ruff, clippy and mypy are that) and not a judge of names: it knows the words that this code base
gives up so that each meaning has one name, and finds them among names that are *defined* here. What other libraries call
their parameters is theirs. An exception is a line in a table below, with its reason; one that nothing needs fails too.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 80

# A name that is exactly this: what to say instead. Not here, because they have honest uses that no machine can tell from
# the others: send, server, status, error, queue, result, pending, failed, bounce.
NAMES = {
    "to": "forward_path",
    "rcpt": "forward_path, or recipient",
    "mail": "envelope, message or content",
    "job": "envelope or message",
    "headers": "header_fields or header_section",
    "user": "account (or address)",
    "username": "account",
    "response": "reply",
    "filter": "check",
    "plugin": "milter, or policy script",
    "size": "with its unit: size_octets",
    "timeout": "with its unit: timeout_s",
    "limit": "with its unit and bound: line_octets_max",
}
# In Rust these name commands, the ends of ranges and what iterators take, close to where those are read.
NAMES_FINE_IN_RUST = {"to", "rcpt", "mail", "filter"}
# A word (between underscores or capitals) of any name.
WORDS = {
    "sender": "reverse_path, or author for the From field",
    "bounced": "failed, expired",
    "ndr": "DSN",
    "destination": "route or next_hop",
    "upstream": "smarthost or next_hop",
    "relayhost": "smarthost",
    "headers": "header_fields or header_section",
    "stuck": "deferred, or hold",
    "utils": "what it does",
    "helpers": "what it does",
}
# Several words in a row.
PHRASES = {
    "from_addr": "reverse_path",
    "mail_from": "reverse_path",
    "return_path": "reverse_path",
    "to_addr": "forward_path",
    "to_addrs": "recipients",
    "rcpt_to": "forward_path",
    "recipient_address": "forward_path",
}
# What a name may not end in: a bound without its unit (an octet count, seconds, a rate).
ENDINGS = ("_size", "_timeout", "_limit")

# (file or folder, name): why it may stand.
NAMES_ALLOWED: dict[tuple[str, str], str] = {
    (
        "python/pymta/_core.pyi",
        "response",
    ): "what SASL calls the client's answer to a challenge (RFC 4954 §4)",
    ("python/pymta/accept/", "response"): "the same, where it is handled",
    ("python/pymta/auth/", "response"): "the same",
    ("tests/auth/test_sasl.py", "response"): "the same",
    ("rust/pymta-smtp/src/server/", "response"): "the same, where it is read",
    ("rust/pymta-py/src/server.rs", "response"): "the same, where it crosses the seam",
    ("rust/pymta-py/src/pop3.rs", "response"): "the same",
    ("rust/pymta-pop3/src/", "response"): "the same, in POP3 (RFC 5034)",
    ("rust/pymta-py/src/imap.rs", "response"): "the same",
    ("python/pymta/access/", "response"): "the same",
    (
        "rust/pymta-smtp/src/proxy.rs",
        "destination",
    ): "what the PROXY protocol calls the address that was connected to",
    ("rust/pymta-spool/src/", "is_stuck"): "of a segment that cannot be freed, not of a message",
    ("rust/pymta-spool/src/", "stuck"): "likewise",
    ("rust/pymta-spool/src/", "find_stuck"): "likewise",
    ("rust/pymta-spool/src/", "check_nothing_is_stuck"): "likewise",
    ("rust/pymta-spool/src/", "headers"): "of segments: the octets at their head, not fields of mail",
    ("rust/pymta-spool/src/recovery.rs", "read_headers"): "the same",
    ("python/pymta/dns/", "response"): "what the DNS calls an answer as a whole (RFC 1035 §4.1)",
    ("python/pymta/runtime/privileges.py", "user"): "the operating system's user that the process becomes",
    ("rust/pymta-smtp/src/client/capabilities.rs", "size"): "whether the extension of that name is offered",
    (
        "rust/pymta-smtp/src/client/capabilities.rs",
        "limit",
    ): "one of the LIMITS extension (RFC 9422), with its name",
    ("tests/e2e/attacks/test_auth.py", "response"): "what SASL calls it",
    ("tests/e2e/attacks/hop.py", "request_queue_size"): "socketserver's name",
    ("python/pymta/config/settings/host.py", "user"): "the operating system's user that the process becomes",
}
FILES_ALLOWED: dict[str, str] = {
    "python/pymta/_core.pyi": "the whole seam, which is to be read as one",
}
FUNCTIONS_ALLOWED: dict[tuple[str, str], str] = {}
SLEEPS_ALLOWED = {
    "tests/workers/test_deaths.py": "the random moment at which a worker is killed is the test",
}


@cache
def tree() -> list[str]:
    """Every file that is, or would be, in the repository."""
    run = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return sorted(name for name in run.stdout.splitlines() if (ROOT / name).is_file())


def sources(*endings: str) -> list[str]:
    """The files of the tree that end so."""
    return [name for name in tree() if name.endswith(endings)]


def text_of(name: str) -> str:
    """A file of the tree; what is not UTF-8 (an image, a message kept as it came) has no text to check."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def parsed(name: str) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(text_of(name), filename=name)


# ---- words ---------------------------------------------------------------------------------------------------------


def defined_in_python(name: str) -> Iterator[tuple[int, str, bool]]:
    """Each name that a file defines, as (line, name, whether it holds a value: a variable, argument or attribute)."""
    for node in ast.walk(parsed(name)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name, False
            case ast.arg():
                yield node.lineno, node.arg, True
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id, True
            case ast.Attribute(ctx=ast.Store(), value=ast.Name(id="self")):  # others' attributes are theirs
                yield node.lineno, node.attr, True


RUST_ITEM = re.compile(r"\b(?:fn|struct|enum|trait|type|mod)\s+([A-Za-z_]\w*)")
RUST_VALUE = re.compile(
    r"\b(?:let|let mut|const|static)\s+([A-Za-z_]\w*)(?!\w| = (?:move )?\|)|(?<![:\w])([a-z_]\w*)\s*:(?!:)"
)


def defined_in_rust(name: str) -> Iterator[tuple[int, str, bool]]:
    """The same for Rust, by patterns: items, and what `let`, a field or a parameter names."""
    for number, line in enumerate(text_of(name).splitlines(), 1):
        code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line.split("//")[0])
        for found in RUST_ITEM.finditer(code):
            yield number, found[1], False
        for found in RUST_VALUE.finditer(code):
            if re.match(r"\s*[:=]?\s*(Option<)?Duration\b", code[found.end() :]):
                continue  # the type has the unit
            yield number, found[1] or found[2], True


def words_of(name: str) -> list[str]:
    """The words of a name: `ReversePath`, `reverse_path` and `REVERSE_PATH` have the same two."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def objection(name: str, *, is_value: bool) -> str | None:
    """What to say instead of *name*, or None where there is nothing against it."""
    words = words_of(name)
    joined = "_".join(words)
    if is_value and joined in NAMES and not name.isupper():  # MAIL is the command
        return NAMES[joined]
    for word in words:
        if word in WORDS:
            return WORDS[word]
    for phrase, instead in PHRASES.items():
        if f"_{phrase}_" in f"_{joined}_":
            return instead
    if is_value and joined.endswith(ENDINGS):
        return "with its unit: _octets, _s, _count, then _max"
    return None


def objections() -> Iterator[tuple[str, int, str, str]]:
    """Every name in the tree with something against it: (file, line, name, what to say instead)."""
    found = [(file, defined_in_python(file)) for file in sources(".py", ".pyi")]
    found += [(file, defined_in_rust(file)) for file in sources(".rs")]
    for file, names in found:
        for line, name, is_value in names:
            instead = objection(name, is_value=is_value)
            if file.endswith(".rs") and name in NAMES_FINE_IN_RUST:
                continue
            if instead is not None:
                yield file, line, name, instead


def test_each_meaning_has_one_word() -> None:
    """
    No name defined here uses a word that the vocabulary gave up, but for the exceptions, all of which are needed.
    """
    needed = set()
    problems = []
    for file, line, name, instead in objections():
        excuses = [key for key in NAMES_ALLOWED if file.startswith(key[0]) and name == key[1]]
        needed.update(excuses)
        if not excuses:
            problems.append(f"{file}:{line} {name}: say {instead}")

    assert "" == "\n".join(problems)
    assert set() == set(NAMES_ALLOWED) - needed


@pytest.mark.parametrize(
    ("name", "is_value"),
    [
        ("sender", True),
        ("SenderTable", False),
        ("mail_from", True),
        ("timeout", True),
        ("line_limit", True),
        ("rcpt", True),
    ],
)
def test_a_given_up_word_is_found(name: str, is_value: bool) -> None:
    """The check itself sees what it is for."""
    assert objection(name, is_value=is_value)


@pytest.mark.parametrize(
    "name", ["reverse_path", "timeout_s", "line_octets_max", "Recipient", "sending", "total"]
)
def test_a_good_word_is_left_alone(name: str) -> None:
    """A word inside another word is not that word."""
    assert objection(name, is_value=True) is None


def test_a_hook_may_be_called_as_its_command() -> None:
    """The stages are named after the commands, so a function `rcpt` may be; a variable `rcpt` may not."""
    assert objection("rcpt", is_value=False) is None


# ---- sizes ---------------------------------------------------------------------------------------------------------


def test_a_file_fits_a_reader() -> None:
    """
    No source file is longer than a sitting, but for the exceptions.
    """
    long = {file for file in sources(".py", ".pyi", ".rs") if text_of(file).count("\n") > FILE_LINES_MAX}

    assert set(FILES_ALLOWED) == long


def test_a_function_fits_a_screen() -> None:
    """
    No Python function is longer than a tall screen, but for the exceptions.
    """
    long = set()
    for file in sources(".py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.add((file, node.name))

    assert set(FUNCTIONS_ALLOWED) == long


def test_no_file_is_a_drawer() -> None:
    """
    A file or folder is named after what it is, never `utils` or `helpers`.
    """
    drawers = [file for file in tree() if re.search(r"(^|/)(utils?|helpers?|misc|common)(\.|/)", file)]
    drawers = [file for file in drawers if not file.endswith("tests/common/mod.rs")]  # cargo's name for it

    assert "" == "\n".join(drawers)


# ---- what a file says of itself ------------------------------------------------------------------------------------


def test_a_file_begins_with_what_it_is() -> None:
    """
    Every Python and Rust file has a doc comment at its head; an `__init__.py` may be empty.
    """
    silent = [
        file
        for file in sources(".py", ".pyi")
        if text_of(file).strip() and ast.get_docstring(parsed(file)) is None
    ]
    silent += [file for file in sources(".rs") if not re.match(r"(#!\[.*\]\s*)*//!", text_of(file))]

    assert "" == "\n".join(silent)


# The patterns are written so that they do not match themselves.
EXCUSES = {
    "an open end needs its issue: (#12)": re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\(#\d+\))"),
    "noqa needs its code and a reason: noqa: S101 -- why": re.compile(
        r"#\s*no" r"qa(?!: [A-Z]+\d+(?:, ?[A-Z]+\d+)* (?:--?|#) \w)"
    ),
    "type: ignore needs its code and a reason: [code]  # why": re.compile(
        r"#\s*type:\s*ign" r"ore(?!\[[\w, -]+\]\s*(?:#|--?)\s*\w)"
    ),
}


def test_an_excuse_has_a_reason() -> None:
    """
    What switches a check off, or is left open, says why.
    """
    bare = []
    for file in sources(".py", ".pyi", ".rs", ".c", ".toml"):
        for number, line in enumerate(text_of(file).splitlines(), 1):
            bare += [f"{file}:{number} {rule}" for rule, pattern in EXCUSES.items() if pattern.search(line)]

    assert "" == "\n".join(bare)


def test_a_lint_that_is_allowed_has_a_reason() -> None:
    """
    `#[allow]` and `#[expect]` in Rust have `reason = …`, or a comment on their line or the one above.
    """
    bare = []
    for file in sources(".rs"):
        above = ""
        for number, line in enumerate(text_of(file).splitlines(), 1):
            if (
                re.search(r"#!?\[(allow|expect)\(", line)
                and "reason" not in line
                and "//" not in above + line
            ):
                bare.append(f"{file}:{number}")
            above = line

    assert "" == "\n".join(bare)


def test_a_test_does_not_sleep() -> None:
    """
    Tests wait for conditions (tests/partners/waiting.py), never for a time; `asyncio.sleep(0)` gives way and may stand.
    """
    sleeping = []
    needed = set()
    for file in sources(".py"):
        if not Path(file).name.startswith(("test_", "conftest")):
            continue
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep"):
                needed.add(file)
                gives_way = [0] == [getattr(argument, "value", None) for argument in node.args]
                if not gives_way and file not in SLEEPS_ALLOWED:
                    sleeping.append(f"{file}:{node.lineno}")

    assert "" == "\n".join(sleeping)
    assert set() == set(SLEEPS_ALLOWED) - needed


# ---- where it was written ------------------------------------------------------------------------------------------

MACHINE = re.compile(
    r"(?:^|[^A-Za-z0-9_.])/(?:wor[k]|far[m]|roo[t]|tm[p]/brief)/(?:main|shared|steering|in\b|\.\w)|/hom[e]/\w+/",
    re.MULTILINE,
)
REGISTRY = re.compile(
    r"(?:pythonhoste[d]|pyp[i]|crate[s]|npmj[s]|deb\.debia[n]|proxy\.golan[g]|mave[n])\.(?:org|io)",
    re.IGNORECASE,
)


def test_the_tree_knows_no_machine() -> None:
    """
    No path of the machine it was written on, and no host of a package registry (Cargo.lock names its own by nature).
    """
    found = []
    for file in tree():
        if file != "Cargo.lock":
            text = text_of(file)
            found += [
                f"{file}: {match[0].strip()}" for match in (*MACHINE.finditer(text), *REGISTRY.finditer(text))
            ]

    assert "" == "\n".join(found)
