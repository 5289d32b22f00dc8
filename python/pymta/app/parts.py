"""
What a server of one process and a supervisor start alike: the sink, and becoming somebody with less power.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from pymta.config.settings import Settings
from pymta.mail.errors import ConfigError
from pymta.runtime import privileges
from pymta.sink.server import Sink, SinkOptions

__all__ = ["close", "drop_privileges", "make_data_folder", "start_sink"]

Closers = list[Callable[[], object]]


def make_data_folder(settings: Settings) -> Path:
    """The data folder, made for its owner only where it does not exist."""
    folder = Path(settings.server.data_folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


async def start_sink(settings: Settings, closers: Closers) -> None:
    """Start the sink, where the configuration has one."""
    sink, data_folder = settings.sink, Path(settings.server.data_folder)
    if sink.address is None:
        return
    options = SinkOptions(
        host=sink.address.address,
        port=sink.address.port,
        hostname=f"sink.{settings.server.hostname.name}",
        folder=sink.folder or data_folder / "sink",
        messages_max=sink.messages_max,
    )
    server = Sink(options)
    await server.start()
    closers.append(server.stop)


def drop_privileges(settings: Settings) -> None:
    """
    Become `server.user`, where the configuration names one; the data folder and the log become that user's, too.

    Raises:
        ConfigError: The system knows no such user.
        OSError: It does not let us.
    """
    host = settings.server
    if host.user is None:
        return
    try:
        uid, gid = privileges.ids_of(host.user, host.group)
    except privileges.UnknownUserError as error:
        raise ConfigError(str(error), option="server.user") from None
    privileges.give_folder(Path(host.data_folder), uid, gid)
    log_file = settings.log.file
    if os.geteuid() == 0 and log_file is not None and log_file.is_file():
        # Root has opened it; at SIGHUP the user opens it again. Who may read it by its group still may.
        privileges.give_file(log_file, uid)
    privileges.drop(uid, gid, host.user)


async def close(closers: Closers) -> None:
    """Close what was opened, the latest first."""
    for one in reversed(closers):
        result = one()
        if asyncio.iscoroutine(result):
            await result
