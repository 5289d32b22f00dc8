"""
Which configuration a command is about: the options `--config`, `--no-config` and `--data`, the same everywhere.

    --config FILE, else PYMTA_CONFIG, else /etc/pymta/pymta.toml where it exists, else the embedded default
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from pymta.config.load import Loaded

__all__ = ["SYSTEM_FILE", "find", "has_system_file", "options"]

SYSTEM_FILE: Final = Path("/etc/pymta/pymta.toml")

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """Add the three options to a command; it gets them as config, no_config and data."""
    for option in (
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False),
            help="The data folder, instead of `server.data_folder`.",
        ),
        click.option("--no-config", is_flag=True, help="Read no file: the embedded default, on loopback."),
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"The configuration file. Without it PYMTA_CONFIG, then {SYSTEM_FILE}, then the embedded default.",
        ),
    ):
        command = option(command)
    return command


def find(config: Path | None, no_config: bool, data: Path | None) -> Loaded:
    """
    The settings that the options mean.

    Raises:
        click.ClickException: With one line that says what is wrong and where.
    """
    from pymta.config.default import load_default
    from pymta.config.load import file_of_environment, load
    from pymta.mail.errors import ConfigError

    if config is not None and no_config:
        raise click.UsageError("--config and --no-config exclude each other")
    file = config or (None if no_config else file_of_environment())
    if file is None and not no_config and has_system_file():
        file = SYSTEM_FILE
    try:
        if file is None:
            return load_default(data)
        loaded = load(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    except FileNotFoundError:  # of Path.cwd; that of a file is a ConfigError
        raise click.ClickException("the current folder does not exist any more") from None
    return loaded if data is None else loaded.with_data_folder(data)


def has_system_file() -> bool:
    """
    Whether the system has a configuration.

    Raises:
        click.ClickException: There is one for somebody else: the embedded default is not what is meant then.
    """
    try:
        return SYSTEM_FILE.exists()
    except PermissionError as error:
        raise click.ClickException(f"{SYSTEM_FILE}: {error.strerror}") from None
