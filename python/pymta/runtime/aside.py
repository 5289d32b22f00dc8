"""
Work that blocks, aside from the loop and from the end of the process: a thread that nobody waits for when the server stops.

For what may take minutes and need not be finished (talking to an authority). What is short, or must be finished, belongs into
a pool of its owner's.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["aside"]

T = TypeVar("T")


async def aside(work: Callable[[], T], *, name: str) -> T:
    """
    Do *work* in a thread of its own and return what it returns, or raise what it raises.

    Who is cancelled meanwhile leaves the thread to itself: it ends with its work, or with the process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return  # nobody waits any more
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # there is one where there is no error

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except BaseException as error:
            problem = error
        try:
            loop.call_soon_threadsafe(tell, result, problem)
        except RuntimeError:
            return  # the loop has ended

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
