"""
`pymta account ...`: who can log in and has mail here.
"""

from __future__ import annotations

import secrets
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pymta.cli import place
from pymta.cli.directory import editing, settings_of
from pymta.cli.output import octets, print_json, print_table
from pymta.directory.nouns import QUOTA_MESSAGES_MAX, QUOTA_OCTETS_MAX

if TYPE_CHECKING:
    from pymta.config.settings import Settings

PASSWORD_CHARACTERS_MIN: Final = 8
_GENERATED_OCTETS: Final = 18

_OPTIONS: Final = (
    click.option(
        "--quota", metavar="SIZE", help='How much mail it may have, as "500M" or "2G"; "none" for no end.'
    ),
    click.option(
        "--quota-messages", metavar="NUMBER", help='How many messages it may have; "none" for any number.'
    ),
    click.option(
        "--address",
        "addresses",
        multiple=True,
        metavar="ADDRESS",
        help="What else it may write mail from, all anew; @example.org is a whole domain, and none is none.",
    ),
    click.option(
        "--folder", "mail_folder", metavar="PATH", help="Its mail folder, below the mailboxes' root."
    ),
    click.option("--suspend/--resume", "suspended", default=None, help="No logins, or again."),
    click.option(
        "--refuse-mail/--accept-mail",
        "refuse_mail",
        default=None,
        help="Refuse mail for it with 550 5.2.1, or not.",
    ),
)


def _options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return place.options(function)


@click.group(name="account")
def command() -> None:
    """
    Add, list, show, set, remove accounts; their passwords.

    A password is asked for, or read from the first line of standard input where that is no terminal; never given as an
    argument, which everybody on the host could read. A running server sees changes at once.
    """


@command.command(name="add")
@_options
@click.argument("address")
@click.option("--no-password", is_flag=True, help="It cannot log in.")
@click.option("--stored", is_flag=True, help="What is asked for is a stored form, as {SSHA}… or $6$…")
def add(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    address: str,
    no_password: bool,
    stored: bool,
    **given: Any,
) -> None:
    """Add an account in a domain of ours."""
    settings = settings_of(config, no_config, data)
    changes = _changes(given)
    with editing(settings) as editor:
        # Asked only where it will be of use: what is wrong with the address is said before.
        editor.check_new_account(address)
        passwords = [] if no_password else _password(settings, stored=stored)
        added = editor.add_account(address, passwords, **changes)
    click.echo(f"{added.name} added")


@command.command(name="list")
@place.options
@click.option("--domain", help="Only those of this domain.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_accounts(
    config: Path | None, no_config: bool, data: Path | None, domain: str | None, as_json: bool
) -> None:
    """List accounts."""
    with editing(settings_of(config, no_config, data)) as editor:
        rows = editor.accounts(domain)
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no accounts")
    else:
        print_table(
            ("account", "quota", "folder", "state"),
            [(a.name, _quota_text(a), a.mail_folder, _state(a)) for a in rows],
            right=("quota",),
        )


@command.command(name="show")
@place.options
@click.argument("address")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(config: Path | None, no_config: bool, data: Path | None, address: str, as_json: bool) -> None:
    """Show one account, never a password."""
    settings = settings_of(config, no_config, data)
    with editing(settings) as editor:
        account = editor.account(address)
        labels = editor.password_labels(account.name)
        aliases = [alias.address for alias in editor.aliases() if account.name in alias.targets]
    if as_json:
        print_json({"account": account, "passwords": labels, "aliases": aliases})
        return
    for label, value in (
        ("account", account.name),
        ("state", _state(account)),
        ("quota", _quota_text(account)),
        ("folder", str(settings.mailboxes_folder / account.mail_folder)),
        ("aliases", ", ".join(aliases)),
        ("may use", ", ".join(account.addresses)),
        ("passwords", ", ".join(label or "its own" for label in labels) or "none"),
    ):
        if value:
            click.echo(f"{label:<10}{value}")


@command.command(name="set")
@_options
@click.argument("address")
def set_account(config: Path | None, no_config: bool, data: Path | None, address: str, **given: Any) -> None:
    """Change an account."""
    changes = _changes(given)
    if not changes:
        raise click.UsageError("nothing to change: see --help")
    with editing(settings_of(config, no_config, data)) as editor:
        changed = editor.set_account(address, **changes)
    click.echo(f"{changed.name} changed")


@command.command(name="remove")
@place.options
@click.argument("address")
def remove(config: Path | None, no_config: bool, data: Path | None, address: str) -> None:
    """Remove an account. Its mail stays where it is."""
    settings = settings_of(config, no_config, data)
    with editing(settings) as editor:
        removed = editor.remove_account(address)
    click.echo(f"{removed.name} removed; its mail stays in {settings.mailboxes_folder / removed.mail_folder}")


@command.command(name="passwd")
@place.options
@click.argument("address")
@click.option(
    "--app", "label", default="", metavar="LABEL", help="One for an application: made here, shown once."
)
@click.option("--remove", "removing", is_flag=True, help="Remove it instead.")
@click.option("--stored", is_flag=True, help="What is asked for is a stored form, as {SSHA}… or $6$…")
def passwd(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    address: str,
    label: str,
    removing: bool,
    stored: bool,
) -> None:
    """Set or remove a password of an account."""
    settings = settings_of(config, no_config, data)
    with editing(settings) as editor:
        account = editor.account(address)
        if removing:
            editor.remove_password(account.name, label)
            click.echo("password removed")
        elif label:
            from pymta.auth.schemes import make_generated

            made = secrets.token_urlsafe(_GENERATED_OCTETS)
            editor.set_password(account.name, label, [make_generated(made)])
            click.echo(made)
        else:
            editor.set_password(account.name, "", _password(settings, stored=stored))
            click.echo("password changed")


# ---- what was given --------------------------------------------------------------------------------------------------


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    """The options of an account that were given, as the editor takes them."""
    changes: dict[str, Any] = {}
    if given["quota"] is not None:
        changes["quota_octets"] = _quota(given["quota"])
    if given["quota_messages"] is not None:
        changes["quota_messages"] = _quota_messages(given["quota_messages"])
    if given["addresses"]:
        none = given["addresses"] == ("none",)
        changes["addresses"] = () if none else given["addresses"]
    if given["mail_folder"] is not None:
        changes["mail_folder"] = given["mail_folder"]
    if given["suspended"] is not None:
        changes["suspended"] = given["suspended"]
    if given["refuse_mail"] is not None:
        changes["receives_mail"] = not given["refuse_mail"]
    return changes


def _quota(text: str) -> int | None:
    if text.lower() == "none":
        return None
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}.get(text[-1:].lower())
    number = text if factor is None else text[:-1]
    if not (number.isascii() and number.isdigit()) or len(number) > 12:
        raise click.UsageError(f'--quota: expected a size such as 500M or 2G, or "none"; got {text!r}')
    quota = int(number) * (factor or 1)
    if not 0 < quota <= QUOTA_OCTETS_MAX:
        raise click.UsageError(f"--quota: expected 1 to {QUOTA_OCTETS_MAX >> 40}T; got {text!r}")
    return quota


def _quota_messages(text: str) -> int | None:
    if text.lower() == "none":
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= 12
    if not is_number or not 0 < int(text) <= QUOTA_MESSAGES_MAX:
        raise click.UsageError(f'--quota-messages: expected a number such as 10000, or "none"; got {text!r}')
    return int(text)


def _password(settings: Settings, *, stored: bool) -> list[str]:
    """What the account shall log in with, in stored forms."""
    text = _asked("Stored password" if stored else "Password")
    if stored:
        from pymta.auth.schemes import scheme_of

        try:
            scheme_of(text)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        return [text]
    if len(text) < PASSWORD_CHARACTERS_MIN:
        raise click.ClickException(f"expected a password of at least {PASSWORD_CHARACTERS_MIN} characters")
    if any(unicodedata.category(character) == "Cc" for character in text):
        # NUL ends a field of SASL PLAIN, and RFC 4013 prohibits the others: nobody could log in with it.
        raise click.ClickException("expected a password without control characters")
    return _stored_forms(settings, text, scram=True)


def _asked(prompt: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _stored_forms(settings: Settings, password: str, *, scram: bool) -> list[str]:
    from pymta.auth.schemes import stored_forms
    from pymta.auth.settings import hash_cost

    return stored_forms(password, hash_cost(settings.auth), scram=scram and settings.auth.scram)


def _quota_text(account: Any) -> str:
    bounds = [] if account.quota_octets is None else [f"{octets(account.quota_octets)}B"]
    return ", ".join(
        bounds + ([] if account.quota_messages is None else [f"{account.quota_messages} messages"])
    )


def _state(account: Any) -> str:
    states = [] if not account.suspended else ["no logins"]
    return ", ".join(states + ([] if account.receives_mail else ["refuses mail"]))
