"""
No task is forgotten, none dies unheard, all end when told.
"""

import asyncio

import pytest

from pymta.runtime import tasks
from pymta.runtime.tasks import Tasks


async def fail() -> None:
    raise KeyError("broken")


async def test_a_crash_is_told_and_ends_only_that_task() -> None:
    crashes: list[tuple[str, str]] = []
    group = Tasks(lambda name, error: crashes.append((name, repr(error))))
    going_on = asyncio.Event()
    group.spawn(going_on.wait(), name="other")
    failed = group.spawn(fail(), name="policy reload")

    await asyncio.wait({failed})
    await asyncio.sleep(0)

    assert [("policy reload", "KeyError('broken')")] == crashes
    assert 1 == len(group)
    assert 1 == await group.close(0)


async def test_a_vital_task_that_ends_by_itself_is_told_whichever_way() -> None:
    ends: list[str] = []
    group = Tasks(lambda name, error: ends.append("crash"), lambda: ends.append("vital"))
    for work in (fail(), asyncio.sleep(0)):
        task = group.spawn(work, name="queue", vital=True)
        await asyncio.wait({task})
        await asyncio.sleep(0)

    assert ["crash", "vital", "vital"] == ends


async def test_closing_waits_within_the_grace_then_cancels() -> None:
    crashes: list[str] = []
    group = Tasks(lambda name, error: crashes.append(name), lambda: crashes.append("vital"))
    done: list[str] = []

    async def short() -> None:
        await asyncio.sleep(0)
        done.append("short")

    group.spawn(short(), name="short")
    group.spawn(asyncio.Event().wait(), name="for ever", vital=True)

    assert 1 == await group.close(0.05)
    assert (["short"], []) == (done, crashes)
    assert 0 == len(group)


async def test_there_is_an_end_to_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TASKS_MAX", 2)
    group = Tasks(lambda name, error: None)
    for _ in range(2):
        group.spawn(asyncio.Event().wait(), name="x")

    with pytest.raises(RuntimeError, match="more than 2"):
        group.spawn(asyncio.sleep(0), name="one too many")
    assert 2 == await group.close(0)
