"""
The running server, for commands that ask it something.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pymta.cli import place

if TYPE_CHECKING:
    from pymta.admin.client import ControlClient

__all__ = ["ask"]

T = TypeVar("T")


def ask(config: Path | None, no_config: bool, data: Path | None, question: Callable[[ControlClient], T]) -> T:
    """
    Put *question* to the server that the options mean.

    Raises:
        click.ClickException: It is not running, or it said no.
    """
    from pymta.admin.client import ControlClient, ControlError, NotRunning

    folder = (
        data.absolute()
        if data is not None
        else place.find(config, no_config, data).settings.server.data_folder
    )
    try:
        return question(ControlClient(folder))
    except (NotRunning, ControlError) as error:
        raise click.ClickException(str(error)) from None
