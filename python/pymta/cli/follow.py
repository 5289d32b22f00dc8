"""
Where a message that was just sent went: `pymta send --trace`.

Asks the running server over its control socket until the message has left the queue or is deferred, then looks into the
sink's folder where the configuration has a sink. It looks only; and it gives up after a few seconds.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pymta.cli.output import plain

if TYPE_CHECKING:
    from pymta.admin.control import MessageDetail
    from pymta.config.settings import Settings

__all__ = ["follow"]

_FOLLOWED_S_MAX: Final = 10.0
_ASK_AGAIN_S: Final = 0.05
_QUEUED_AS: Final = re.compile(r"queued as (\w+)")
_LOOKED_AT_MAX: Final = 200
_HEAD_OCTETS_MAX: Final = 65_536


def follow(reply_text: str, message_id: bytes, settings: Settings | None, data: Path | None) -> None:
    """
    Print, step by step, what becomes of the message that the server answered with *reply_text*.

    Args:
        reply_text: Of the 250; our server names the spool id in it.
        message_id: The Message-ID field's value, to find the message in the sink's folder.
        settings: The configuration; None where it cannot be read.
        data: The data folder, where it is not the configuration's.
    """
    found = _QUEUED_AS.search(reply_text)
    if found is None or settings is None:
        click.echo("the server did not say under which id it keeps the message, so it cannot be followed")
        return
    spool_id = found[1]
    click.echo(f"spooled as {spool_id}: safe on disk")
    began_s = time.monotonic()
    folder = data.absolute() if data is not None else settings.server.data_folder
    left = _wait_to_leave(folder, spool_id, began_s + _FOLLOWED_S_MAX)
    if settings.sink.address is None or left is False:
        return
    kept = _find_kept(
        settings.sink.folder or folder / "sink", message_id, time.monotonic() + (2.0 if left else 0.0)
    )
    if kept is not None:
        click.echo(f"arrived at the sink: {kept}")
    elif left:
        click.echo("it is not in the sink's folder: a route or the policy had it go elsewhere")


def _wait_to_leave(folder: Path, spool_id: str, until_s: float) -> bool | None:
    """True where it left the queue, False where it still is there, None where nobody can be asked."""
    from pymta.admin.client import ControlClient, ControlError, NotRunning

    client = ControlClient(folder)
    detail: MessageDetail | None = None
    try:
        while True:
            try:
                detail = client.show(spool_id)
            except ControlError as error:
                if "no such message" in str(error):
                    click.echo("left the queue: every recipient is done with")
                    return True
                raise
            if detail.state in ("deferred", "hold") or time.monotonic() > until_s:
                break
            time.sleep(_ASK_AGAIN_S)
    except (NotRunning, ControlError) as error:
        click.echo(f"the queue cannot be asked: {plain(str(error))}")
        return None
    click.echo(f"in the queue, {detail.state}:")
    for recipient in detail.recipients:
        click.echo(plain(f"  {recipient.forward_path}  {recipient.state}  {recipient.reply}"))
    click.echo(f"see: pymta queue show {spool_id}")
    return False


def _find_kept(folder: Path, message_id: bytes, until_s: float) -> Path | None:
    """The newest file that holds *message_id* in its header section, when there is one."""
    while True:
        try:
            newest = sorted(folder.glob("*.eml"), reverse=True)[:_LOOKED_AT_MAX]
            for path in newest:
                with path.open("rb") as stream:
                    head = stream.read(_HEAD_OCTETS_MAX).partition(b"\r\n\r\n")[0]
                if message_id in head:
                    return path
        except OSError:  # not ours to read, or gone since
            return None
        if time.monotonic() > until_s:
            return None
        time.sleep(_ASK_AGAIN_S)
