"""
The commands as a person and a script see them: answers, exit codes, one clear line for what is wrong.
"""

import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pymta.admin.control import QueueQuery, Selection, SuspendRequest
from pymta.cli import _COMMANDS, command_line, place
from pymta.cli.serve import banner, first_message
from pymta.config.default import TEXT, load_default
from pymta.tls.self_made import write_self_made
from tests.cli.running import DETAIL, ID, RunningControl

ROOT = Path(__file__).resolve().parents[2]
LEAST = '[server]\nhostname = "mail.example.org"\n'


def run(*arguments: str, **environment: str | None) -> Result:
    return CliRunner(env={"PYMTA_CONFIG": None, **environment}).invoke(
        command_line, arguments, prog_name="pymta"
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningControl]:
    with RunningControl(tmp_path) as running:
        yield running


def present() -> list[str]:
    """Commands whose module is in the tree."""
    folder = Path(__file__).parents[2] / "python/pymta/cli"
    return [name for name, command in _COMMANDS.items() if (folder / f"{command.module}.py").exists()]


# ---- help ------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    program = (
        "import sys; from pymta.cli import main; sys.argv = ['pymta', '--help']\n"
        "try: main()\n"
        "finally: print([m for m in sys.modules if m.startswith(('pymta.', 'rich', 'msgspec', 'uvicorn'))])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "python")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60
    )

    assert all(f"  {name} " in done.stdout for name in _COMMANDS)
    assert done.stdout.rstrip().endswith("['pymta.cli']")


def test_help_comes_at_once() -> None:
    """
    Aim: 300 ms of processor time; the best of a few, because a first run reads everything from the disk.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "python")}
    best_s = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "pymta", "--help"],
            capture_output=True,
            env=environment,
            timeout=60,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best_s = min(best_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert best_s < 0.3


@pytest.mark.parametrize("name", present())
def test_each_command_explains_itself(name: str) -> None:
    result = run(name, "--help")

    assert 0 == result.exit_code
    assert "Usage: pymta" in result.output
    assert len(result.output.splitlines()) > 5


def test_each_command_of_the_queue_explains_itself() -> None:
    for name in ("list", "show", "retry", "hold", "release", "drop", "suspend", "resume"):
        assert 0 == run("queue", name, "--help").exit_code, name


# ---- serve -----------------------------------------------------------------------------------------------------------


def test_the_banner_names_the_ports_and_one_command_for_a_first_message(tmp_path: Path) -> None:
    """
    And the TLS that each port wants: whoever sets up a mail program is asked for it.
    """
    doors = ["relay", "submission", "submissions", "pop3", "imaps"]
    text = banner(load_default(tmp_path), [(name, f"127.0.0.1:25{at}") for at, name in enumerate(doors, 25)])
    for label in (
        "SMTP relay ",
        "SMTP submission, STARTTLS ",
        "SMTP submission, TLS ",
        "POP3, STARTTLS ",
        "IMAP, TLS ",
    ):
        assert f"\n  {label} " in text

    for part in (
        "127.0.0.1:2525",
        "http://127.0.0.1:2580/",
        str(tmp_path / "sink"),
        first_message(sys.argv[0]),
    ):
        assert part in text


@pytest.mark.parametrize("has_system_file", [False, True])
def test_a_newcomer_is_told_the_ports_wherever_the_output_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_system_file: bool
) -> None:
    """
    `make run > file` is no terminal. A configuration of the system's is not this server's, so the command leaves it out.
    """
    monkeypatch.setattr("pymta.app.run", lambda *_, announce, **__: announce([("relay", "127.0.0.1:2525")]))
    system_file = tmp_path / "system.toml"
    monkeypatch.setattr(place, "SYSTEM_FILE", system_file)
    if has_system_file:
        system_file.write_text("")

    said = run("serve", "--no-config").stdout

    assert "127.0.0.1:2525" in said
    assert "none, the embedded default" in said
    assert has_system_file == ("send --no-config --trace" in said)


def test_a_supervisor_is_told_nothing_but_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymta.app.run", lambda *_, announce, **__: announce([("relay", "127.0.0.1:25")]))
    config = tmp_path / "pymta.toml"
    config.write_text(TEXT)

    assert "" == run("serve", "--config", str(config)).output


def test_make_run_reads_no_configuration_of_the_system() -> None:
    """
    It is the newcomer's own server; PYMTA_CONFIG, which somebody set on purpose, counts.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    make = ["make", "--dry-run", "-o", ".venv/.developed", "-o", ".venv/.locked", "run"]
    for config, expected in (("", "serve --no-config"), ("/x.toml", "serve")):
        done = subprocess.run(
            make,
            cwd=ROOT,
            env={**environment, "PYMTA_CONFIG": config},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout.splitlines()[-1].rstrip().endswith(expected), done


def test_the_command_for_a_first_message_has_options_that_exist() -> None:
    """
    What the newcomer is told to type must be what `pymta send` takes.
    """
    words = shlex.split(first_message("pymta").partition("| pymta ")[2])
    command = command_line.get_command(click.Context(command_line), words[0])

    assert isinstance(command, click.Command)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_another_pymta_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The package index has another distribution of that import name; both in one environment mix their files.
    """
    monkeypatch.setattr("pymta.cli.serve.other_distribution", lambda: "pymta 0.8.0")

    result = run("serve", "--no-config")

    assert 1 == result.exit_code
    assert "pymta 0.8.0 is installed in this environment too" in result.output


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "pymta.toml"
    file.write_text(LEAST + f'[log]\nfile = "{tmp_path}/none/log"\n')

    result = run("serve", "--config", str(file))

    assert (1, f"Error: {tmp_path}/none/log: No such file or directory\n") == (
        result.exit_code,
        result.output,
    )


# ---- which configuration ---------------------------------------------------------------------------------------------


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(LEAST)
    (tmp_path / "b.toml").write_text(LEAST.replace("mail.", "other."))

    by_option = run(
        "check", "--json", "--config", str(tmp_path / "a.toml"), PYMTA_CONFIG=str(tmp_path / "b.toml")
    )
    by_environment = run("check", "--json", PYMTA_CONFIG=str(tmp_path / "b.toml"))

    assert '"mail.example.org"' == value_of(by_option, "server.hostname")
    assert '"other.example.org"' == value_of(by_environment, "server.hostname")


def test_usage_that_contradicts_itself_is_exit_code_2() -> None:
    result = run("check", "--config", "x.toml", "--no-config")

    assert 2 == result.exit_code
    assert "exclude each other" in result.output


def value_of(result: Result, option: str) -> object:
    assert 0 == result.exit_code, result.output
    (value,) = [row["value"] for row in json.loads(result.output) if row["option"] == option]
    return value


# ---- check -----------------------------------------------------------------------------------------------------------


def test_check_prints_each_effective_value_and_its_line(tmp_path: Path) -> None:
    file = tmp_path / "pymta.toml"
    file.write_text(LEAST + "[queue]\nlifetime_s = 100_000\n")

    rows = {row["option"]: row for row in json.loads(run("check", "--json", "--config", str(file)).output)}

    assert {"option": "queue.lifetime_s", "value": "100000", "file": str(file), "line": 4} == rows[
        "queue.lifetime_s"
    ]
    assert {"option": "queue.active_max", "value": "5000", "file": "", "line": 0} == rows["queue.active_max"]


def test_check_for_people_has_every_option(tmp_path: Path) -> None:
    file = tmp_path / "pymta.toml"
    file.write_text(LEAST)

    output = run("check", "--config", str(file)).output

    assert f"{file}:2" in output
    assert "listeners[0].address" in output
    assert output.rstrip().endswith("nothing is wrong")


def test_what_check_prints_as_values_loads_again(tmp_path: Path) -> None:
    """
    Round trip: effective values, written to a file, are effective again.
    """
    file = tmp_path / "pymta.toml"
    file.write_text(
        LEAST + '[domains]\nrelay_domains = ["example.org", ".b.example"]\n[[routes]]\ndomain = "a.example"\n'
        'next_hops = ["[2001:db8::1]:25"]\n[log.verbs]\nconnect = "none"\n'
    )
    first = json.loads(run("check", "--json", "--config", str(file)).output)
    again = tmp_path / "again.toml"
    again.write_text(as_toml(first))
    second = json.loads(run("check", "--json", "--config", str(again)).output)

    assert {row["option"]: row["value"] for row in first} == {row["option"]: row["value"] for row in second}


def as_toml(rows: list[dict[str, str]]) -> str:
    tables: dict[str, list[str]] = {}
    for row in rows:
        table, _, name = row["option"].rpartition(".")
        if row["value"] and table:
            tables.setdefault(table, []).append(f"{name} = {row['value']}")
    return "".join(
        (f"[[{table.partition('[')[0]}]]\n" if table.endswith("]") else f"[{table}]\n")
        + "\n".join(lines)
        + "\n"
        for table, lines in tables.items()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nhostname = 1\n", "pymta.toml:2: server.hostname: expected `str`, got `int`"),
        (LEAST + '[policy]\nscript = "none.py"\n', "none.py"),
        (LEAST + "[server2]\n", 'pymta.toml:3: server2: unknown option; is "server" meant?'),
        (
            LEAST
            + '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\ntls = "starttls"\ncertificate_file = "no.pem"\n',
            "no.pem",
        ),
        (
            LEAST.replace("[server]", '[server]\nuser = "nobody-of-this-name"'),
            "pymta.toml:2: server.user: there is no user",
        ),
        (LEAST + '[delivery]\nca_file = "no.pem"\n', "pymta.toml:4: delivery.ca_file: "),
        (LEAST + '[delivery]\nca_file = "pymta.toml"\n', "pymta.toml:4: delivery.ca_file: "),
        (LEAST + '[acme]\nca_file = "no.pem"\n', "pymta.toml:4: acme.ca_file: "),
        (LEAST + '[acme]\naccount_secret_file = "no"\n', "pymta.toml:4: acme.account_secret_file: "),
        (LEAST + '[directory]\nsource = "file"\nfile = "none.toml"\n', "none.toml"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_1(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "pymta.toml"
    file.write_text(text)

    result = run("check", "--config", str(file))

    assert 1 == result.exit_code
    assert said in result.output
    assert 1 == len(result.output.strip().splitlines())
    assert result.output.startswith("Error: ")


def test_the_embedded_default_is_right_before_its_first_start(tmp_path: Path) -> None:
    """The certificate that it names is made by that start, so its absence is no fault; and a check makes nothing."""
    result = run("check", "--quiet", "--no-config", "--data", str(tmp_path / "data"))

    assert (0, "") == (result.exit_code, result.output)
    assert [] == list(tmp_path.iterdir())


def test_authorities_for_clients_are_read_by_check(tmp_path: Path) -> None:
    write_self_made(tmp_path / "own.pem", tmp_path / "own.key", ("mx.example.org",), valid_days=1)
    file = tmp_path / "pymta.toml"
    file.write_text(
        LEAST + '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\ntls = "starttls"\n'
        'certificate_file = "own.pem"\nkey_file = "own.key"\nclient_ca_file = "none.pem"\n'
    )

    result = run("check", "--config", str(file))

    assert 1 == result.exit_code
    assert "none.pem" in result.output


# ---- the running server ----------------------------------------------------------------------------------------------


def test_without_a_server_that_is_said(tmp_path: Path) -> None:
    result = run("queue", "list", "--data", str(tmp_path))

    assert (1, f"Error: no server is running with its data in {tmp_path}\n") == (
        result.exit_code,
        result.output,
    )


def test_status_for_people_and_programs(running: RunningControl) -> None:
    data = ("--data", str(running.folder))

    assert "127.0.0.1:2525" in run("status", *data).output
    assert "mx.example.org for 60 s" in run("status", *data).output
    assert 42 == json.loads(run("status", "--json", *data).output)["pid"]


def test_the_list_is_a_table_and_json(running: RunningControl) -> None:
    data = ("--data", str(running.folder))

    table = run("queue", "list", *data, "--domain", "example.org")
    nothing = run("queue", "list", *data, "--domain", "other.example")

    assert ID in table.output
    assert "4.0 Ki" in table.output
    assert "and 1 more" in table.output
    assert "no messages\n" == nothing.output
    assert ID == json.loads(run("queue", "list", "--json", *data).output)[0]["spool_id"]
    assert QueueQuery(domain="example.org") == running.control.asked[0]


def test_what_peers_wrote_cannot_control_the_terminal(running: RunningControl) -> None:
    data = ("--data", str(running.folder))

    for result in (run("queue", "list", *data), run("queue", "show", ID, *data)):
        assert "\x1b" not in result.output
        assert "\x07" not in result.output
    assert "[bold]greylisted[/bold]" in run("queue", "show", ID, *data).output


def test_show_tells_recipients_decisions_and_the_header_section(running: RunningControl) -> None:
    output = run("queue", "show", f" <{ID.upper()}>", "--data", str(running.folder)).output

    for part in ("b@example.org", "451 4.7.1", "MX of example.org", "Subject: x"):
        assert part in output


def test_an_unknown_message_is_exit_code_1(running: RunningControl) -> None:
    result = run("queue", "show", "nothing", "--data", str(running.folder))

    assert (1, "Error: no such message in the queue; what became of one that left is in the log\n") == (
        result.exit_code,
        result.output,
    )


@pytest.mark.parametrize("action", ["retry", "hold", "release", "drop"])
def test_actions_select_by_id_domain_reverse_path_or_all(running: RunningControl, action: str) -> None:
    data = ("--data", str(running.folder))
    sure = ["--yes"] if action == "drop" else []

    for arguments in ([ID], ["--domain", "example.org"], ["--from", ""], ["--all"]):
        assert 0 == run("queue", action, *data, *sure, *arguments).exit_code

    assert [
        (action, Selection(spool_ids=(ID,))),
        (action, Selection(domain="example.org")),
        (action, Selection(reverse_path="")),
        (action, Selection(all=True)),
    ] == running.control.asked


def test_an_action_on_nothing_or_on_two_things_is_wrong_usage(running: RunningControl) -> None:
    data = ("--data", str(running.folder))

    assert 2 == run("queue", "hold", *data).exit_code
    assert 2 == run("queue", "hold", *data, ID, "--all").exit_code
    assert [] == running.control.asked


def test_dropping_many_asks_first(running: RunningControl) -> None:
    result = CliRunner().invoke(
        command_line, ["queue", "drop", "--data", str(running.folder), "--from", ""], input="n\n"
    )

    assert 1 == result.exit_code
    assert [] == running.control.asked


def test_an_action_that_missed_a_message_is_exit_code_1(running: RunningControl) -> None:
    result = run("queue", "retry", "--data", str(running.folder), ID, "0000000000000")

    assert 1 == result.exit_code
    assert "1 message" in result.output
    assert "0000000000000" in result.output


def test_suspend_and_resume(running: RunningControl) -> None:
    data = ("--data", str(running.folder))
    run("queue", "suspend", *data, "example.org", "--for", "60")
    running.control.suspended_domains = {"example.org": 60}
    run("queue", "resume", *data, "example.org")

    assert [
        SuspendRequest(domain="example.org", duration_s=60),
        SuspendRequest(domain="example.org", duration_s=0),
    ] == running.control.asked


def test_a_refused_reload_says_why(running: RunningControl) -> None:
    data = ("--data", str(running.folder))

    assert (0, "reloaded\n") == ((good := run("reload", *data)).exit_code, good.output)
    running.control.reload_problem = "policy.py:3: NameError"
    bad = run("reload", *data)
    assert (1, "Error: refused, all stays as it was: policy.py:3: NameError\n") == (bad.exit_code, bad.output)


# ---- explain ---------------------------------------------------------------------------------------------------------


def test_explain_asks_the_running_server(running: RunningControl) -> None:
    assert (
        "b@example.org goes to mx.example.org\n"
        == run("explain", "--no-config", "--data", str(running.folder), "b@example.org").output
    )


def test_explain_of_a_message_tells_what_was_decided_about_it(running: RunningControl) -> None:
    """
    "Why did you do that?", asked by the id that every line of the log has.
    """
    place = ("--no-config", "--data", str(running.folder))
    shown = run("queue", "show", *place, ID).output
    explained = run("explain", *place, ID.upper()).output

    assert shown.startswith(explained)
    assert DETAIL.decisions[0].why in explained
    assert run("queue", "show", "--json", *place, ID).output == run("explain", "--json", *place, ID).output
    unknown = run("explain", *place, "0" * 13)
    assert (1, "Error: no such message in the queue; what became of one that left is in the log\n") == (
        unknown.exit_code,
        unknown.output,
    )


def test_explain_works_without_a_server(tmp_path: Path) -> None:
    """
    The same code as the queue's: the configured route is found, without any DNS here.
    """
    file = tmp_path / "pymta.toml"
    file.write_text(
        LEAST
        + f'data_folder = "{tmp_path}"\n[[routes]]\ndomain = "a.example"\nnext_hops = ["127.0.0.1:2526"]\n'
    )

    for_people = run("explain", "--config", str(file), "b@A.example")
    for_programs = json.loads(run("explain", "--config", str(file), "--json", "a.example").output)

    assert "127.0.0.1:2526" in for_people.output
    assert "why:" in for_people.output
    assert 2526 == for_programs["route"]["hops"][0]["port"]
    assert [file] == list(tmp_path.iterdir()), "a question makes nothing"


def test_explain_refuses_what_is_no_address(tmp_path: Path) -> None:
    result = run("explain", "--no-config", "--data", str(tmp_path), "a@b@c d")

    assert 1 == result.exit_code
    assert 1 == len(result.output.splitlines())
