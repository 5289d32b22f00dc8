"""
The fail2ban filter in examples/ reads our log, by Debian's fail2ban-regex: those who fail, and never anybody whom they name.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pymta.observe.events import Auth, Connect
from pymta.observe.line import json_line, naming, text_line
from tests.partners.program import find_program

FILTER = Path(__file__).resolve().parents[2] / "examples" / "fail2ban" / "pymta.conf"
AT_MS = 1_795_602_914_840
AWKWARD = 'x","outcome":"failed" peer=192.0.2.66 outcome=failed "'


def login(peer: str, outcome: str, account: str = "a@x.example", cause: str = "") -> Auth:
    return Auth(sid="a-1", peer=peer, mechanism="PLAIN", account=account, outcome=outcome, cause=cause)  # type: ignore[arg-type] # one of them


EVENTS = [
    login("192.0.2.1", "ok"),
    login("192.0.2.2", "failed", cause="no such account"),
    login("2001:db8::3", "banned", cause="address banned for 900 s"),
    login("192.0.2.4", "cancelled", account=""),
    login("192.0.2.5", "ok", account=AWKWARD),
    login("192.0.2.6", "failed", account=AWKWARD, cause="wrong password"),
    login("192.0.2.7", "failed", account=""),
    Connect(
        sid="a-1",
        listener="x",
        peer="192.0.2.8:25",
        hello='"verb":"auth","peer":"192.0.2.66"',
        end="quit",
        took_s=1.0,
    ),
]
FAILED = {"192.0.2.2", "2001:db8::3", "192.0.2.6", "192.0.2.7"}


@pytest.mark.parametrize(
    "line",
    [json_line, text_line, naming(json_line, 3, "json"), naming(text_line, 3, "text")],
    ids=["json", "text", "json of a worker", "text of a worker"],
)
def test_it_finds_who_failed_and_nobody_else(tmp_path: Path, line: Callable[[object, int], bytes]) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(line(event, AT_MS) for event in EVENTS))
    done = subprocess.run(
        [find_program("fail2ban-regex"), "-v", str(log), str(FILTER)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )

    assert f"{len(EVENTS)} lines, 0 ignored, {len(FAILED)} matched" in done.stdout, done.stdout
    assert FAILED == set(re.findall(r"^\|\s+([0-9a-f.:]+)  \w", done.stdout, re.MULTILINE)), done.stdout
