"""
The bench measures what it says: all messages arrive before the clock stops, and the figures are those of its rounds.
"""

import json
import subprocess
from pathlib import Path

import pytest

from bench import report
from bench.aims import sync_median_ms
from bench.contestants import Floor, pymta_configuration
from bench.processes import cpu_s
from bench.relay import Scenario, measure
from bench.report import Measurement, rows
from pymta.config.load import load_text
from pymta.policy.loader import load_script
from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.smtp_tools import Sink, swaks
from tests.partners.waiting import wait_until

FLOOR_C = Path(report.__file__).resolve().parent / "floor" / "relay_floor.c"


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The floor, compiled as `make floor` does, and without a warning."""
    program = tmp_path_factory.mktemp("floor") / "relay_floor"
    command = ["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(FLOOR_C)]
    subprocess.run(command, check=True)
    return program


def test_the_floor_relays_what_it_was_given(floor: Path, tmp_path: Path) -> None:
    """swaks → floor → smtp-sink: the envelope, and the content in the log before the 250."""
    with Sink(tmp_path, keeps=True) as sink:
        port = free_port()
        with Program(
            floor, str(port), str(sink.port), tmp_path / "log", output=tmp_path / "output"
        ) as program:
            program.wait_listening(port)
            result = swaks(
                port,
                "--from",
                "author@example.test",
                "--to",
                "reader@example.test",
                "--body",
                "through the floor",
            )
            with (tmp_path / "log").open("rb") as stream:
                logged = stream.read(4096)
            sink.wait_count(1)
            kept = sink.messages()

    assert 0 == result.exit_status
    assert b"through the floor\r\n" in logged
    assert "X-Mail-Args: <author@example.test>" in kept[0]
    assert "X-Rcpt-Args: <reader@example.test>" in kept[0]
    assert "through the floor" in kept[0]


@pytest.mark.parametrize("keeps_open", [True, False])
def test_a_measurement_ends_when_all_have_arrived(floor: Path, tmp_path: Path, keeps_open: bool) -> None:
    """A small round through the floor: the sink had every message, none twice, and it took longer than accepting."""
    scenario = Scenario("small", "small", 200, 200, 2000, 5, keeps_open)

    measured = measure(0, Floor(floor), scenario, 200, tmp_path / "round", "postfix")

    assert 200 == measured.messages
    assert 0 == measured.surplus
    assert 0 < measured.accepted_s <= measured.took_s
    assert not (tmp_path / "round").exists()


def test_processor_time_includes_children_that_ended(tmp_path: Path) -> None:
    """What a child used counts for its parent, alive or waited for."""
    busy = "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; echo done; exec sleep 30"
    with Program("sh", "-c", busy, output=tmp_path / "output") as shell:
        wait_until(lambda: "done" in shell.text(), "the child has ended")

        assert cpu_s(shell.pid) > 0


def test_the_table_shows_medians_and_ratios(tmp_path: Path) -> None:
    """Known figures give known rows, the fastest first, and all files are written."""
    measurements = [
        Measurement(name, "kept-open", number, 1000, 1000 / per_s, 0.5, 0.1, 2**20, 0)
        for name, rates in {
            "postfix": [90, 100, 110],
            "floor": [1000, 900, 1900],
            "pymta": [800, 850, 700],
        }.items()
        for number, per_s in enumerate(rates)
    ]

    made = rows("kept-open", measurements)
    report.write(tmp_path, "relay", {"kept-open": "kept open"}, measurements, "a machine")

    assert ["floor", "pymta", "postfix"] == [row.contestant for row in made]
    assert [1000, 800, 100] == [round(row.per_s) for row in made]
    assert made[1].of_floor == pytest.approx(0.8)
    assert made[1].times_postfix == pytest.approx(8.5)
    assert (700, 850) == (round(made[1].per_s_lowest), round(made[1].per_s_highest))
    assert made[0].of_floor is None
    assert 9 == len(json.loads((tmp_path / "relay.json").read_text())["measurements"])
    assert (
        "| pymta | synced | 800 | 700-850 | 2,000 | 0.80 | 8.5 | 100 | 1 |"
        in (tmp_path / "relay.md").read_text()
    )
    assert (tmp_path / "relay.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize("policy", [None, "policy.py", "dkim_policy.py"])
def test_the_configuration_that_is_measured_can_be_used(tmp_path: Path, policy: str | None) -> None:
    """With each policy, in the clear and with TLS, for one worker and several; nothing is left in braces."""
    for tls, workers in ((False, 1), (True, 2)):
        text, port = pymta_configuration(tmp_path, 25, policy=policy, tls=tls, workers=workers)
        settings = load_text(text, base=tmp_path).settings

        assert "{" not in text.partition("[server]")[2]
        assert port == settings.listeners[0].address.port
        assert workers == settings.server.workers
        assert (settings.listeners[0].tls == "starttls") is tls
        if settings.policy.script is not None:
            assert [] == list(load_script(settings.policy.script).warnings)


def test_a_sync_takes_time(tmp_path: Path) -> None:
    """What latencies are told in is more than nothing, and its file goes."""
    assert 0 < sync_median_ms(tmp_path)
    assert [] == list(tmp_path.iterdir())
