"""
Who waits for a folder is woken when something in it changes, as often as there are others, and not after he has gone.
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from pymta.access.imap import idle
from pymta.access.imap.idle import Wakes
from pymta.observe.log import Log


@pytest.fixture
async def wakes() -> AsyncIterator[Wakes]:
    made = Wakes(cast(Log, None))
    yield made
    made.close()


async def woken(event: asyncio.Event) -> None:
    """Once, from now on."""
    await asyncio.wait_for(event.wait(), 10)
    event.clear()


async def test_a_new_file_wakes_all_who_wait_for_its_folder(wakes: Wakes, tmp_path: Path) -> None:
    events = [asyncio.Event() for _ in range(3)]
    watches = [wakes.watch(event.set) for event in events]
    for watch in watches:
        watch.use([str(tmp_path)])
    assert 1 == wakes.watched_count
    (tmp_path / "a").touch()
    for event in events:
        await woken(event)
    watches[0].close()
    (tmp_path / "b").touch()
    await woken(events[1])
    assert not events[0].is_set()
    for watch in watches:
        watch.close()
    assert 0 == wakes.watched_count


async def test_a_file_that_is_written_wakes(wakes: Wakes, tmp_path: Path) -> None:
    file, event = tmp_path / "index-wal", asyncio.Event()
    file.write_bytes(b"")
    watch = wakes.watch(event.set)
    watch.use([str(file)])
    file.write_bytes(b"x")
    await woken(event)
    assert not watch.is_blind


async def test_what_does_not_exist_is_looked_at_from_time_to_time(wakes: Wakes, tmp_path: Path) -> None:
    watch = wakes.watch(lambda: None)
    watch.use([str(tmp_path / "none"), str(tmp_path)])
    assert watch.is_blind
    (tmp_path / "none").touch()
    watch.use([str(tmp_path / "none"), str(tmp_path)])
    assert not watch.is_blind


async def test_who_watches_a_folder_that_is_removed_is_woken_and_blind(wakes: Wakes, tmp_path: Path) -> None:
    folder, event = tmp_path / "folder", asyncio.Event()
    folder.mkdir()
    watch = wakes.watch(event.set)
    watch.use([str(folder)])
    folder.rmdir()
    await woken(event)
    await asyncio.sleep(0)
    assert watch.is_blind
    assert 0 == wakes.watched_count
    folder.mkdir()
    watch.use([str(folder)])
    assert not watch.is_blind


async def test_two_names_of_one_folder_are_watched_until_both_are_given_up(
    wakes: Wakes, tmp_path: Path
) -> None:
    folder, other, event = tmp_path / "folder", tmp_path / "other", asyncio.Event()
    folder.mkdir()
    other.symlink_to(folder)
    watch = wakes.watch(event.set)
    watch.use([str(folder), str(other)])
    watch.use([str(other)])
    (folder / "a").touch()
    await woken(event)
    watch.use([])
    assert 0 == wakes.watched_count


async def test_who_has_gone_watches_nothing_any_more(wakes: Wakes, tmp_path: Path) -> None:
    watch = wakes.watch(lambda: None)
    watch.close()
    watch.use([str(tmp_path)])
    assert 0 == wakes.watched_count


async def test_where_the_system_watches_nothing_it_is_said_once_and_all_are_blind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_watches() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    class Heard:
        def __init__(self) -> None:
            self.events: list[object] = []

        def emit(self, event: object) -> None:
            self.events.append(event)

    log = Heard()
    monkeypatch.setattr(idle, "Watches", no_watches)
    wakes = Wakes(cast(Log, log))
    for _ in range(2):
        watch = wakes.watch(lambda: None)
        watch.use([str(tmp_path)])
        assert watch.is_blind
        watch.close()
    wakes.close()
    assert 1 == len(log.events)
