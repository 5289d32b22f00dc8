"""The day's counts in their file: all there at the next start, whoever wrote them, and no older ones."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from pymta.app import submitted
from pymta.app.submitted import SubmittedFile, SubmittedKeeper
from pymta.config.settings.submission import SubmissionSettings
from pymta.mail.errors import ConfigError
from pymta.policy.checks.rates import DaySlice, Rates
from pymta.testing import FakeClock
from tests.partners.waiting import wait_until_async

A, B = "a@x.example", "b@x.example"
DAY_S = 86_400
SETTINGS = SubmissionSettings(messages_per_day_max=10, recipients_per_day_max=30)


class Scene:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "submitted.db"
        self.aside = folder / "submitted.db.damaged"
        self.clock = FakeClock()
        self.troubles: list[str] = []

    def start(self) -> tuple[Rates, SubmittedKeeper]:
        rates = Rates(SETTINGS, now_ms=self.clock)
        keeper = SubmittedKeeper(self.file, rates, on_trouble=lambda what, error: self.troubles.append(what))
        return rates, keeper

    def rows(self) -> list[DaySlice]:
        file = SubmittedFile(self.file)
        try:
            return file.read(0)
        finally:
            file.close()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_a_restart_forgets_nothing(scene: Scene) -> None:
    for _ in range(3):
        rates, keeper = scene.start()
        for _ in range(3):
            assert rates.take(A, 2) is None
        await keeper.aclose()
    rates, keeper = scene.start()

    assert rates.take(A, 2) is None
    assert rates.at_mail(A) is not None
    assert rates.at_mail(B) is None
    assert rates.at_rcpt(A, 9) is None
    assert rates.at_rcpt(A, 10) is not None
    await keeper.aclose()
    assert 0o600 == scene.file.stat().st_mode & 0o777


async def test_several_processes_add_up(scene: Scene) -> None:
    started = [scene.start() for _ in range(4)]
    for rates, _ in started:
        rates.take(A, 5)
    for _, keeper in started:
        await keeper.aclose()

    assert [(A, 4, 20)] == [(one.account, one.messages, one.recipients) for one in scene.rows()]


async def test_it_is_written_while_the_server_runs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitted, "WRITE_EVERY_S", 0.0)
    rates, keeper = scene.start()
    for count in (1, 2, 3):
        rates.take(A, 1)
        await wait_until_async(
            lambda: [count] == [one.messages for one in scene.rows()] or None,  # noqa: B023 - asked at once
            "it is written",
        )
    await keeper.aclose()


async def test_yesterday_is_removed(scene: Scene) -> None:
    rates, keeper = scene.start()
    rates.take(A, 1)
    await keeper.aclose()
    scene.clock.advance(DAY_S)
    rates, keeper = scene.start()
    rates.take(B, 1)
    await keeper.aclose()

    assert [B] == [one.account for one in scene.rows()]


async def test_what_cannot_be_written_waits_and_is_told_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitted, "WRITE_EVERY_S", 0.0)
    monkeypatch.setattr(submitted, "BUSY_MS_MAX", 0)
    rates, keeper = scene.start()
    other = apsw.Connection(str(scene.file))
    other.execute("BEGIN IMMEDIATE")
    rates.take(A, 1)
    await wait_until_async(lambda: scene.troubles or None, "the trouble is told")
    rates.take(A, 2)
    other.execute("ROLLBACK")
    await keeper.aclose()

    assert [(A, 2, 3)] == [(one.account, one.messages, one.recipients) for one in scene.rows()]
    assert 1 == len(scene.troubles)


def written_over(whole: bytes) -> bytes:
    """The header is whole, its pages are not."""
    return whole[:100] + b"\xff" * (len(whole) - 100)


@pytest.mark.parametrize("damage", [lambda whole: b"something else altogether\n" * 100, written_over])
async def test_a_damaged_file_is_set_aside_and_the_day_begins_anew(
    scene: Scene, damage: Callable[[bytes], bytes]
) -> None:
    rates, keeper = scene.start()
    rates.take(A, 1)
    await keeper.aclose()
    damaged = damage(scene.file.read_bytes())

    for times in (1, 2):  # the second takes the place of the first
        scene.file.write_bytes(damaged)
        rates, keeper = scene.start()
        rates.take(B, 1)
        await keeper.aclose()

        assert [B] == [one.account for one in scene.rows()]
        assert times == len(scene.troubles)
        assert [scene.file, scene.aside] == sorted(scene.file.parent.glob("*"))
        assert damaged == scene.aside.read_bytes()
    assert "damaged" in scene.troubles[0]


async def test_of_all_who_find_it_damaged_one_sets_it_aside(scene: Scene) -> None:
    """What the others would take away is the file that the first has begun."""
    scene.file.write_bytes(b"something else altogether\n" * 100)
    seen = submitted._seen(scene.file)
    rates, keeper = scene.start()
    rates.take(A, 1)

    assert not submitted._set_aside(scene.file, seen)

    await keeper.aclose()
    assert [A] == [one.account for one in scene.rows()]


def test_what_cannot_be_a_file_is_told(scene: Scene) -> None:
    scene.file.mkdir()

    with pytest.raises(ConfigError, match=r"submitted\.db"):
        scene.start()
