"""
The README is right: its commands are run as they stand, in a folder that looks like the tree, its policy and its
configuration are used.

What differs from a newcomer's first try: PYMTA_CONFIG names the embedded default with free ports, because tests run
beside each other, so its certificate and account are made by the test; passwords are not typed; what is built is not built again; and `make test`, in the middle of which this runs, is only asked
what it would do.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta.app.first_start import prepare
from pymta.cli.serve import first_message
from pymta.config.default import TEXT
from pymta.config.load import load
from pymta.policy import RouteChoice, TlsMode
from pymta.testing import PolicyTest
from tests.partners.ports import free_port, is_listening
from tests.partners.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
FILES = {match["file"]: match["text"] for match in BLOCK.finditer(README) if match["file"]}
CONSOLE = "".join(match["text"] for match in BLOCK.finditer(README) if match["kind"] == "console")
# Each command, and what the README says that it prints, if it says anything.
SHOWN = dict(re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", CONSOLE, re.MULTILINE))
COMMANDS = list(SHOWN)
BUILT = ("-o", ".venv/.developed", "-o", ".venv/.locked")


def as_pattern(shown: str) -> str:
    """What the README shows, where "..." may be anything and a spool id any other."""
    pattern = re.escape(shown).replace(re.escape("..."), ".+")
    return re.sub(r"\b[0-9a-hjkmnp-tv-z]{13}\b", "[0-9a-z]{13}", pattern)


class Newcomer:
    """Who reads the README in a fresh folder and does what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for entry in ROOT.iterdir():
            if entry.name not in (".git", ".run", "target", "dist"):
                (folder / entry.name).symlink_to(entry)
        for name, text in FILES.items():
            (folder / name).write_text(text, encoding="utf-8")
        self.ports = {port: free_port() for port in re.findall(r"127\.0\.0\.1:(\d+)", TEXT)}
        self.environment = dict(os.environ)
        # make(1) tells a make inside it what it was told itself; a newcomer's is not inside another.
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
            self.environment.pop(name, None)

    def configure(self) -> None:
        """From here on the embedded default is a file, with free ports."""
        # In one pass: a free port may begin with the digits of one that is still to be replaced.
        text = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: str(self.ports[found[0]]), TEXT)
        file = self.folder / "default.toml"
        file.write_text(text, encoding="utf-8")
        self.environment["PYMTA_CONFIG"] = str(file)
        self.account = prepare(load(file).settings)  # which a start without a configuration does by itself

    def start(self, command: str) -> None:
        """Begin a command that goes on until Ctrl-C, in another terminal; what it prints goes to the file `printed`."""
        with (self.folder / "printed").open("wb") as printed:
            self._running = subprocess.Popen(
                command,
                shell=True,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_up(self) -> bool:
        """Whether all ports are open; AssertionError where the command has ended."""
        assert self._running.poll() is None, (self.folder / "printed").read_text()
        return all(is_listening(port) for port in self.ports.values())

    def interrupt(self) -> None:
        """Ctrl-C: for all that runs in that terminal. Returns when it has ended."""
        if self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGINT)
            self._running.wait(40)

    def run(self, command: str, *, typed: str = "", status: int = 0) -> str:
        """What a command prints; AssertionError where it ends with another status."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=40,
        )
        assert status == done.returncode, f"$ {command}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


@pytest.fixture
def running(newcomer: Newcomer) -> Iterator[Newcomer]:
    """`make run` goes on in another terminal."""
    newcomer.configure()
    newcomer.start(" ".join(("make", *BUILT, "run")))
    try:
        wait_until(newcomer.is_up, "the server of `make run` listens", limit_s=30)
        yield newcomer
    finally:
        newcomer.interrupt()


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = README[: README.index("## A policy")]

    assert ["make run", first_message(".venv/bin/pymta"), "make test"] == COMMANDS[:3]
    assert all(command in first_screen for command in COMMANDS[:3])


def test_a_first_message_goes_all_the_way(running: Newcomer) -> None:
    """Sent with the README's command beside its `make run`, a message is in the sink, and the command says so."""
    said = running.run(COMMANDS[1])

    assert len(SHOWN[COMMANDS[1]].splitlines()) > 2
    assert re.fullmatch(as_pattern(SHOWN[COMMANDS[1]]), said), said
    kept = wait_until(lambda: list((running.folder / ".run/sink").glob("*.eml")), "a message in the sink")
    assert 1 == len(kept)
    assert "My first message." in kept[0].read_text()


def test_two_commands_make_an_account_that_sends_and_receives(running: Newcomer) -> None:
    """
    Added beside the running server, the account logs in over 465, its mail is in a Maildir; without a login, refused.
    """
    first = COMMANDS.index("make test") + 1
    add_domain, add_account, over_465, over_587, look = COMMANDS[first : first + 5]
    readings = COMMANDS[first + 5 : first + 7]
    assert "example.org added" in running.run(add_domain)
    assert "alice@example.org added" in running.run(add_account, typed="correct horse\n")
    assert running.account is not None
    for command, password in ((over_465, "correct horse"), (over_587, running.account.password)):
        for port, free in running.ports.items():
            command = command.replace(f":{port} ", f":{free} ")
        running.run(f"{command} --auth-password '{password}'")
        stranger = command.replace("--auth-user ", "--h-X-Nobody ").replace("@example.test", "@far.example")
        assert "530 5.7.0 authentication required" in running.run(stranger, status=24)
    wait_until(lambda: running.run(f"{look} 2>/dev/null || true").strip(), "a message in Alice's Maildir")
    for command in readings:
        for port, free in running.ports.items():
            command = command.replace(f":{port}/", f":{free}/")
        command = command.replace("-u alice@example.org", "--silent -u 'alice@example.org:correct horse'")
        assert "To: alice@example.org" in running.run(command)


def test_load_with_its_defaults_is_taken_by_make_run(running: Newcomer) -> None:
    """The first example of docs/load.md, with fewer messages: its recipients are no accounts of the embedded default."""
    port = running.ports["2525"]

    running.run(f".venv/bin/pymta load 127.0.0.1:{port} --messages 20")


def test_make_run_ends_with_ctrl_c_and_leaves_only_its_data(running: Newcomer) -> None:
    """Its ports are free again, and its data is in `.run`, so that the next one goes on."""
    running.interrupt()
    wait_until(lambda: not any(map(is_listening, running.ports.values())), "the ports are free")

    assert {
        "directory.db",
        "login.key",
        "mail",
        "sink",
        "spool",
        "srs.key",
        "submitted.db",
        "tls",
        "vacation.db",
    } == {path.name for path in (running.folder / ".run").iterdir()}


def test_make_test_runs_the_tests_of_both_halves(newcomer: Newcomer) -> None:
    would_do = newcomer.run(f"make {' '.join(BUILT)} --dry-run test")

    assert "cargo test" in would_do
    assert "pytest" in would_do


def test_the_other_commands_do_not_fail(newcomer: Newcomer) -> None:
    """With the README's own policy and configuration beside them."""
    others = COMMANDS[COMMANDS.index("ls .run/mail/example.org/alice/new") + 3 :]
    assert len(others) >= 2
    said = [newcomer.run(command) for command in others]

    assert "nothing is wrong" in said[0]
    assert '[[routes]] "example.org"' in said[1]
    assert "192.0.2.20:25" in said[1]


def test_the_ports_are_those_of_make_run() -> None:
    table = re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)

    assert re.findall(r"127\.0\.0\.1:(\d+)", TEXT)
    assert sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", TEXT))) == sorted(table)


def test_the_policy_does_what_its_lines_say(newcomer: Newcomer) -> None:
    program = (
        "MIME-Version: 1.0\nContent-Type: application/octet-stream\n"
        'Content-Disposition: attachment; filename="Setup.EXE"\n\nMZ\n'
    )
    large = "Subject: film\n\n" + "0123456789\n" * 2_000_000
    with PolicyTest(newcomer.folder / "policy.py") as t:
        assert 550 == t.rcpt("NoReply@example.org").code
        assert t.rcpt("someone@example.org").accepted
        assert 554 == t.message(program).code
        assert "policy.py" == t.message("Subject: hello\n\nHello.\n").field("X-Checked-By")
        assert "hold" == t.client(trusted=False).message(large).action
        assert t.client(trusted=True).message(large).accepted
        assert RouteChoice(next_hop="mx.partner.example", tls=TlsMode.VERIFIED) == t.route("partner.example")
        assert t.route("example.net") is None


def test_the_status_names_what_is_announced(running: Newcomer) -> None:
    """EHLO of the server that `make run` starts: every extension that the README claims, but those that need a certificate."""
    with socket.create_connection(("127.0.0.1", running.ports["2525"]), timeout=10) as connection:
        stream = connection.makefile("rwb")
        stream.readline()
        stream.write(b"EHLO client.example.test\r\n")
        stream.flush()
        announced = set()
        while True:
            line = stream.readline().decode()
            announced.add(line[4:].split()[0])
            if line[3] == " ":
                break
    row = next(line for line in README.splitlines() if line.startswith("| SMTP in |"))
    claimed = set(re.findall(r"\b[A-Z0-9]{3,}\b", row)) - {"STARTTLS", "XCLIENT", "PROXY", "AUTH", "PLAIN"}
    claimed -= {"LOGIN", "TLS", "SMTP"}

    assert set() == claimed - announced
    assert len(claimed) > 6
