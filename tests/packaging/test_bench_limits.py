"""
The bench has an end: what is slow or hangs costs its own figure and no other, and the table says so.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as whole
from bench import imap, limit, relay, report
from bench.contestants import Floor
from bench.imap_rows import Figure, Row, Scale
from bench.imap_stores import Store
from bench.limit import Limit
from bench.lines import Line, Part
from bench.report import Aim, Measurement


class Refuses(Floor):
    """A guest that cannot be started."""

    name = "guest"
    rounds_max = 2
    slower = 5

    def __init__(self) -> None:
        super().__init__(name="guest")

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        raise SystemExit("after 30 s still not: port 1 is listening\nand much more")


SCENARIO = relay.Scenario("small", "small", 10, 10, 100, 2, True)


def test_a_contestant_that_fails_is_left_out_and_named(tmp_path: Path) -> None:
    """Its line has the first line of the reason; the run goes on."""
    with Limit(60) as bound:
        run = relay.Run("postfix", 1, tmp_path, bound)
        run.go([Refuses()], [SCENARIO], 3)

    (line,) = run.left_out()
    assert ("small", "guest") == (line.what, line.who)
    assert "left out: 2 of its rounds: after 30 s still not: port 1 is listening" == line.figure


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    """Neither by the relay part nor by those that are made of scenes."""
    with Limit(0) as bound:
        run = relay.Run("postfix", 1, tmp_path, bound)
        run.go([Floor()], [SCENARIO], 2)
        part = Part(tmp_path, "part", "here", bound)
        part.add("a scene", lambda: pytest.fail("was begun"))

    assert ["left out: 2 of its rounds: the time was up"] == [line.figure for line in run.left_out()]
    assert ["left out: the time was up"] == [line.figure for line in part.lines]


def test_what_hangs_is_broken_off_and_what_it_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scene's first line is in the file, its second, which never comes, is told."""
    monkeypatch.setattr(limit, "GRACE_S", 0.05)

    def scene() -> Iterator[Line]:
        yield Line("first", "1")
        threading.Event().wait(30)

    began_s = time.monotonic()
    with Limit(0.05) as bound:
        part = Part(tmp_path, "part", "here", bound)
        part.add("a scene", scene)
        part.add("another", lambda: pytest.fail("was begun"))

    assert time.monotonic() - began_s < 10
    kept = json.loads((tmp_path / "part.json").read_text())["lines"]
    assert "1" == kept[0]["figure"]
    assert kept[1]["figure"].startswith("left out: broken off")
    assert "left out: the time was up" == kept[2]["figure"]


def test_a_rate_ends_with_its_time_and_says_by_how_much(tmp_path: Path) -> None:
    """Of two stores in turns: medians, the ratio within a round, and who cannot answer is left out."""
    stores = {name: Store(1, None, 1, tmp_path) for name in ("pymta", "dovecot")}
    values = iter([10.0, 20.0, 40.0, 30.0])
    row = Row("APPEND", lambda store, scale: Figure(next(values), "/s", "5 messages"), most=15)

    mine, other = imap.measured(stores, row, 2, 60, Scale(10, 0.1))

    assert ("20.0/s (5 messages)", "10.00-30.00", 2) == (mine.figure, mine.spread, mine.rounds)
    assert "0.62 x Dovecot's" == mine.beside  # of 10/20 and 30/40
    assert mine.holds is False
    assert "Dovecot" == other.who

    def refuses(store: Store, scale: Scale) -> Figure:
        raise SystemExit("APPEND: closed")

    (line,) = imap.measured({"pymta": stores["pymta"]}, Row("APPEND", refuses), 2, 60, Scale(10, 0.1))
    assert "left out: APPEND: closed" == line.figure


def test_the_relay_lines_say_whether_an_aim_is_met() -> None:
    """pymta's against both of its aims; nobody else has any."""
    measurements = [
        Measurement(name, "kept-open", 0, 1000, 1000 / per_s, 0.5, 0.1, 2**20, 0)
        for name, per_s in {"postfix": 100, "floor": 1000, "pymta": 800}.items()
    ]

    lines = {
        line.who: line
        for line in report.lines("4 KiB", Aim(0.75, 10), report.rows("kept-open", measurements))
    }

    assert "0.80 of the floor, 8.0 x Postfix" == lines["pymta"].beside
    assert ">= 0.75 of the floor, >= 10.0 x Postfix" == lines["pymta"].aim
    assert lines["pymta"].holds is False
    assert lines["floor"].holds is None


def test_the_whole_has_one_table_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A part that hangs and one that fails have a row each, beside the figures of one that ends; the status tells."""
    script = tmp_path / "part_of_bench.py"
    script.write_text(
        "import json, pathlib, sys, time\n"
        "name, out = sys.argv[1], pathlib.Path(sys.argv[-1])\n"
        "line = {'what': 'of ' + name, 'figure': '7/s'}\n"
        "(out / (name + '.json')).write_text(json.dumps({'lines': [line]}))\n"
        "time.sleep(60) if name == 'hangs' else sys.exit(name == 'fails')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(whole, "GRACE_S", 0.5)
    monkeypatch.setattr(whole, "ENDING_S_MAX", 2)
    monkeypatch.setattr(whole, "where", lambda: "here")
    names = ("ends", "fails", "hangs")
    parts = tuple(whole.Part(name, name, 1, ("part_of_bench", name)) for name in names)
    monkeypatch.setattr(whole, "PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["bench"])

    with pytest.raises(SystemExit) as ended:
        whole.main.callback((), tmp_path / "out")  # type: ignore[misc]  # click says that it may be None

    assert 1 == ended.value.code
    kept = json.loads((tmp_path / "out" / "bench.json").read_text())["lines"]
    assert [
        ("ends", "7/s"),
        ("fails", "7/s"),
        ("fails", "left out: it failed with status 1, see above"),
        ("hangs", "7/s"),
        ("hangs", "left out: ended after 4 s"),
    ] == [(line["part"], line["figure"]) for line in kept]
    assert "| hangs | of hangs | pymta |" in (tmp_path / "out" / "bench.md").read_text()
    assert "[2/3] fails" in capfd.readouterr().err


def test_all_parts_together_take_less_than_a_quarter_of_an_hour() -> None:
    """However slow everything is: when the last may begin, and all that it may take."""
    last_s = max(part.seconds_max for part in whole.PARTS)

    assert whole.TOTAL_S_MAX + whole.GRACE_S + 2 * whole.ENDING_S_MAX < 15 * 60
    assert last_s < whole.TOTAL_S_MAX


def test_a_table_hides_the_columns_that_are_empty(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And one round has no spread."""
    with Limit(60) as bound:
        part = Part(tmp_path, "part", "here", bound)
        part.add(
            "scene",
            lambda: [Line("what", "3", spread="3-3"), replace(Line("other", "4"), aim=">= 5", holds=False)],
        )
        part.write("a title")

    shown = capsys.readouterr().out
    assert "lowest-highest" not in shown
    assert "met" in shown
