"""
`pymta check`: whether the configuration can be used, what is effective, and where each value was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from pymta.cli import place
from pymta.cli.output import print_json, print_table

if TYPE_CHECKING:
    from pymta.config.load import Loaded


class _Effective(msgspec.Struct, frozen=True):
    """One option as it is in force."""

    option: str
    value: str
    file: str
    """Empty for a default."""
    line: int
    """0 for a default."""


@click.command(name="check")
@place.options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing where all is well.")
def command(config: Path | None, no_config: bool, data: Path | None, as_json: bool, quiet: bool) -> None:
    """
    Check the configuration and show what is effective.

    Reads the file and all that it names (policy script, certificates), changes nothing, opens no port. Prints each
    option with its value and the line that it comes from. Exit code 1 where something is wrong.
    """
    loaded = place.find(config, no_config, data)
    problems = list(_outside(loaded))
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        raise SystemExit(1)
    if quiet:
        return
    rows = list(_effective(loaded))
    if as_json:
        print_json(rows)
        return
    print_table(
        ("option", "value", "from"),
        [(row.option, row.value, f"{row.file}:{row.line}" if row.line else "default") for row in rows],
    )
    named = ", ".join(map(str, loaded.files)) or "the embedded default"
    click.echo(f"{named}: nothing is wrong")


def _effective(loaded: Loaded) -> Iterator[_Effective]:
    from pymta.config.describe import written
    from pymta.config.load import path_text

    for path, value in _leaves(loaded.settings, ()):
        origin = loaded.origin_of(path) if path in loaded.origins else None
        file = "" if origin is None else str(origin.file or "embedded default")
        shown = "" if value is None else written(value)
        yield _Effective(path_text(path), shown, file, 0 if origin is None else origin.line)


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every option of every table, in the order of the reference page."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _leaves(getattr(value, name), (*path, name))
    elif isinstance(value, tuple) and any(isinstance(item, msgspec.Struct) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _outside(loaded: Loaded) -> Iterator[str]:
    """What is wrong with what the configuration names: scripts, certificates, the directory, users."""
    from pymta.mail.errors import ConfigError
    from pymta.runtime.privileges import UnknownUserError, ids_of

    settings = loaded.settings
    yield from _about_certificates(loaded)
    yield from _about_acme(loaded)
    if settings.policy.script is not None:
        from pymta.policy.loader import load_script

        try:
            script = load_script(settings.policy.script)
        except ConfigError as error:
            yield str(error)
        else:
            for warning in script.warnings:
                click.echo(f"Warning: {warning}", err=True)
    if (
        settings.directory.source == "file"
    ):  # a database is made where there is none, and nothing is made here
        from pymta.app.directory import open_lookup

        try:
            open_lookup(settings)
        except ConfigError as error:
            yield str(error)
    if settings.server.user is not None:
        try:
            ids_of(settings.server.user, settings.server.group)
        except UnknownUserError as error:
            yield f"{_place(loaded, ('server', 'user'))}: {error}"


def _about_certificates(loaded: Loaded) -> Iterator[str]:
    from pymta.mail.errors import ConfigError
    from pymta.tls import CertificateFiles, ServerTls, verifying_context

    for index, listener in enumerate(loaded.settings.listeners):
        certificate_file = listener.certificate_file
        if certificate_file is None:
            continue
        files = CertificateFiles(certificate_file, listener.key_file or certificate_file)
        try:
            if not loaded.files and not certificate_file.exists():
                continue  # of the embedded default, whose first start makes it
            ServerTls((files,), client_ca_file=listener.client_ca_file)
        except (ConfigError, OSError, ValueError) as error:
            yield f"{_place(loaded, ('listeners', index, 'certificate_file'))}: {error}"
    for index, one in enumerate(loaded.settings.certificates):
        try:
            ServerTls((CertificateFiles(one.certificate_file, one.key_file or one.certificate_file),))
        except (ConfigError, OSError, ValueError) as error:
            yield f"{_place(loaded, ('certificates', index, 'certificate_file'))}: {error}"
    for section in ("delivery", "acme"):
        ca_file = getattr(loaded.settings, section).ca_file
        if ca_file is None:
            continue
        try:
            verifying_context(ca_file)
        except OSError as error:
            yield f"{_place(loaded, (section, 'ca_file'))}: {ca_file}: {error.strerror or error}"


def _about_acme(loaded: Loaded) -> Iterator[str]:
    from pymta.acme.keeper import check_installed
    from pymta.mail.errors import ConfigError

    try:
        check_installed(loaded.settings)
    except ConfigError as error:
        yield f"{_place(loaded, ('acme', 'names'))}: {error.problem}"
    secret_file = loaded.settings.acme.account_secret_file
    if secret_file is None:
        return
    try:
        secret_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield f"{_place(loaded, ('acme', 'account_secret_file'))}: {secret_file}: {error}"


def _place(loaded: Loaded, path: tuple[str | int, ...]) -> str:
    from pymta.config.load import path_text

    origin = loaded.origin_of(path)
    where = "configuration" if origin is None or origin.file is None else f"{origin.file}:{origin.line}"
    return f"{where}: {path_text(path)}"
