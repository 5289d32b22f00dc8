"""
What the commands `domain`, `account` and `alias` share: the directory opened for changes, and errors in one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pymta.cli import place
from pymta.cli.output import one_line

if TYPE_CHECKING:
    from pymta.config.settings import Settings
    from pymta.directory.editor import DirectoryEditor

__all__ = ["become_owner", "editing", "settings_of"]


def settings_of(config: Path | None, no_config: bool, data: Path | None) -> Settings:
    """The settings that the options mean."""
    return place.find(config, no_config, data).settings


@contextmanager
def editing(settings: Settings, *, makes: bool = False) -> Iterator[DirectoryEditor]:
    """
    The directory, open for changes; a running server sees them at once, none need be running.

    Args:
        settings: Where it is.
        makes: Make it where there is none. Else that is said: mostly this is not the folder that is meant.

    Raises:
        click.ClickException: In one line, whatever went wrong.
    """
    from pymta.directory.editor import DirectoryEditor
    from pymta.mail.errors import PymtaError

    if settings.directory.source != "sqlite":
        raise click.ClickException(
            f'the directory cannot be changed by commands: [directory] source is "{settings.directory.source}"'
        )
    file = settings.directory_file
    try:
        become_owner(file.parent)
        if makes:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not file.exists():
            raise click.ClickException(
                f"there is no {file}: the first `pymta domain add` or `pymta serve` with this data folder makes it"
            )
        editor = DirectoryEditor(file)
        try:
            yield editor
        finally:
            editor.close()
    except UnicodeError:
        # Not the error's own text: it may be about a password.
        raise click.ClickException(
            "expected UTF-8, got other octets in an option or in what was read"
        ) from None
    except (PymtaError, OSError) as error:
        raise click.ClickException(one_line(error)) from None


def become_owner(folder: Path) -> None:
    """
    Root works as whom the data belongs to: a file of root's would be one that the server cannot open.

    Raises:
        click.ClickException: This root may not become somebody else, as in some containers.
    """
    if os.geteuid() != 0 or not folder.is_dir():
        return
    owner = folder.stat()
    if owner.st_uid != 0:
        try:
            os.setegid(owner.st_gid)
            os.seteuid(owner.st_uid)
        except PermissionError:
            raise click.ClickException(
                f"{folder} belongs to user {owner.st_uid}, whom this process may not become: run it as that user"
            ) from None
