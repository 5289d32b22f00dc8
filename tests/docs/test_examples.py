"""
The examples for operators load: each configuration passes `pymta check` and does what its first lines say, and the
service unit fits the program that it starts.

Not the policies; those are tested one by one in tests/policy/test_examples.py.
"""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pymta._core import Reply
from pymta.cli import command_line
from pymta.config.load import Loaded, load
from pymta.config.settings import HostSettings
from pymta.mail.route import Route, TlsMode
from pymta.route.router import Router
from pymta.testing.resolver import FakeResolver
from tests.partners.ca import CertificateAuthority

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "config"
UNIT = ROOT / "examples" / "systemd" / "pymta.service"
NAMES = sorted(path.name for path in FOLDER.glob("*.toml"))

ADDRESSES = {
    "smtp.provider.example": ["198.51.100.1"],
    "backup.provider.example": ["198.51.100.2"],
    "mail.inside.example.org": ["192.0.2.20"],
    "mailbox1.inside.example.org": ["192.0.2.21"],
    "mailbox2.inside.example.org": ["192.0.2.22"],
    "mx1.example.net": ["203.0.113.1"],
    "mx2.example.net": ["203.0.113.2"],
}
RESOLVER_MX = {"example.net": [(10, "mx1.example.net"), (20, "mx2.example.net")]}


def loaded(name: str) -> Loaded:
    return load(FOLDER / name)


async def route_of(name: str, domain: str) -> Route:
    """Where mail for *domain* goes with that configuration and the DNS above."""
    resolver = FakeResolver(mx=RESOLVER_MX, addresses=ADDRESSES)
    route = await Router.from_settings(loaded(name).settings, resolver).route(domain)
    assert not isinstance(route, Reply), route
    return route


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    """`pymta check`, with certificates where the example names some."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    file = tmp_path / "examples" / "config" / name
    issued = CertificateAuthority(tmp_path).issue("mx.example.org")
    text = file.read_text(encoding="utf-8")
    for named, real in (
        ("/etc/pymta/mx.example.org.pem", issued.certificate_file),
        ("/etc/pymta/mx.example.org.key", issued.key_file),
    ):
        text = text.replace(named, str(real))
    file.write_text(text, encoding="utf-8")

    result = CliRunner().invoke(command_line, ["check", "--quiet", "--config", str(file)])
    assert (0, "") == (result.exit_code, result.output)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_it_is_for_and_is_tested_here(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")

    assert text.startswith("# ")
    assert "# Shown: " in text
    assert f'"{name}"' in Path(__file__).read_text(encoding="utf-8")


async def test_smarthosts_are_tried_in_order_with_tls_and_our_domain_goes_elsewhere() -> None:
    outside = await route_of("smarthost.toml", "anything.example")
    inside = await route_of("smarthost.toml", "example.org")

    assert ["198.51.100.1", "198.51.100.2"] == [hop.address for hop in outside.hops]
    assert TlsMode.REQUIRED is outside.tls
    assert (["192.0.2.20"], TlsMode.OPPORTUNISTIC) == ([hop.address for hop in inside.hops], inside.tls)


async def test_an_mx_takes_its_domains_hands_them_inside_and_sends_by_mx() -> None:
    settings = loaded("mx.toml").settings

    assert ["example.org", ".example.org"] == [str(domain) for domain in settings.domains.relay_domains]
    assert {"0.0.0.0", "::"} == {listener.address.address for listener in settings.listeners}
    assert {"starttls"} == {listener.tls for listener in settings.listeners}
    assert {200} == {settings.limits_of(listener).recipients_max for listener in settings.listeners}
    assert ["192.0.2.20"] == [hop.address for hop in (await route_of("mx.toml", "example.org")).hops]
    assert ["203.0.113.1", "203.0.113.2"] == [
        hop.address for hop in (await route_of("mx.toml", "example.net")).hops
    ]


async def test_accounts_have_every_door_and_only_the_readers_and_senders_ones_want_a_login() -> None:
    settings = loaded("accounts.toml").settings
    doors = {listener.address.port: (listener.role, listener.tls) for listener in settings.listeners}

    assert {
        25: ("relay", "starttls"),
        465: ("submission", "implicit"),
        587: ("submission", "starttls"),
        993: ("imap", "implicit"),
        995: ("pop3", "implicit"),
    } == doors
    assert "sqlite" == settings.directory.source
    assert not any(listener.trusted_networks for listener in settings.listeners)
    assert ["203.0.113.1", "203.0.113.2"] == [
        hop.address for hop in (await route_of("accounts.toml", "example.net")).hops
    ]


async def test_an_lmtp_gateway_speaks_lmtp_and_gives_up_one_domain() -> None:
    kept = await route_of("lmtp_gateway.toml", "example.org")
    given_up = await route_of("lmtp_gateway.toml", "old.example.org")

    assert ("lmtp", [("192.0.2.21", 24), ("192.0.2.22", 24)]) == (
        kept.transport,
        [(hop.address, hop.port) for hop in kept.hops],
    )
    assert ("discard", ()) == (given_up.transport, given_up.hops)


def test_tenants_leave_by_the_policy_and_sites_have_a_rate() -> None:
    settings = loaded("tenant_egress.toml").settings

    assert ROOT / "examples/policies/tenant_egress.py" == (settings.policy.script or Path()).resolve()
    assert 600 == settings.delivery.messages_per_site_per_min_max


# ---- the service unit ----------------------------------------------------------------------------------------------


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("key", ["ExecStartPre", "ExecStart", "ExecReload"])
def test_what_the_unit_calls_are_commands_with_these_options(key: str) -> None:
    words = shlex.split(unit()["Service"][key])
    command = command_line.get_command(None, words[1])  # type: ignore[arg-type]  # ours needs no context

    assert words[0].endswith("/bin/pymta")
    assert command is not None
    command.make_context(words[1], words[2:])  # raises where an option does not exist


def test_the_unit_agrees_with_the_defaults_of_the_configuration() -> None:
    service = unit()["Service"]
    defaults = HostSettings(hostname=loaded("mx.toml").settings.server.hostname)

    assert defaults.data_folder == Path("/var/lib") / service["StateDirectory"]
    assert defaults.open_files_max == int(service["LimitNOFILE"])
    assert defaults.shutdown_grace_s < int(service["TimeoutStopSec"])


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Its own check, where it is installed; the programs and the user that the unit names are not."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/pymta/bin/pymta", "/bin/true")
    copy = tmp_path / "pymta.service"
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", copy],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert [] == [line for line in done.stdout.splitlines() if "pymta.service" in line]


def test_the_pages_count_the_policies_right() -> None:
    count = len(list((ROOT / "examples" / "policies").glob("*.py")))

    assert 11 == count
    assert "Eleven more" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "eleven policies" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
