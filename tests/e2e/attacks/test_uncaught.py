"""
What nobody caught is a line of the log and never text on standard error (attacks.md, row 37).
"""

import asyncio
import json
from pathlib import Path

import pytest

from pymta.app import uncaught
from pymta.observe.log import Log


class Breaks:
    """Raises where nobody can catch it."""

    def __del__(self) -> None:
        raise ValueError("in a finaliser\n\x1b[2J")


def test_each_is_one_line_of_trouble(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    A callback, a task whose result nobody asks for, and the interpreter itself.
    """
    log = Log.open(file=tmp_path / "log", format="json")

    async def crash() -> None:
        raise RuntimeError("in a task\r\n")

    def callback() -> None:
        raise KeyError("in a callback")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        end = uncaught.report_to(log, loop)
        loop.call_soon(callback)
        task = loop.create_task(crash())
        await asyncio.wait([task])
        del task
        Breaks()
        loop.call_exception_handler({"message": "no exception at all"})
        end()

    asyncio.run(main())
    log.close()
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    assert ("", "") == capfd.readouterr()
    assert {"trouble"} == {event["verb"] for event in events}
    assert [
        "KeyError: 'in a callback'",
        "RuntimeError: in a task\r\n",
        "ValueError: in a finaliser\n\x1b[2J",
        "",
    ] == [event.get("error", "") for event in events]
