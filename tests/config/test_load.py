"""
Files become settings, or an error that names file, line, key and what was expected.
"""

from pathlib import Path
from textwrap import dedent

import pytest

from pymta.config.load import load, load_text
from pymta.config.values import DomainPattern, Endpoint, NextHop
from pymta.mail.errors import ConfigError

LEAST = '[server]\nhostname = "mail.example.org"\n'


def written(folder: Path, text: str, name: str = "pymta.toml") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(dedent(text))
    return file


def refused(file: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return caught.value


def test_the_least_file_is_enough(tmp_path: Path) -> None:
    """
    All but the host name has a default, and by default only loopback is listened on and nobody is trusted.
    """
    settings = load(written(tmp_path, LEAST)).settings

    assert "mail.example.org" == settings.server.hostname.name
    assert all(listener.address.is_loopback for listener in settings.listeners)
    assert all(not listener.trusted_networks for listener in settings.listeners)
    assert () == settings.domains.relay_domains


def test_values_are_typed_as_meant(tmp_path: Path) -> None:
    settings = load(
        written(
            tmp_path,
            LEAST
            + """
            [[listeners]]
            name = "out"
            address = "[::1]:2525"

            [domains]
            relay_domains = ["Example.ORG", ".example.net", "bücher.example"]

            [routing]
            smarthosts = ["Smtp.example.net:587", "192.0.2.1", "[2001:db8::1]:25"]
            """,
        )
    ).settings

    assert Endpoint("::1", 2525) == settings.listeners[0].address
    assert ("example.org", ".example.net", "xn--bcher-kva.example") == tuple(
        pattern.text for pattern in settings.domains.relay_domains
    )
    assert (
        NextHop("smtp.example.net", 587),
        NextHop("192.0.2.1", None),
        NextHop("2001:db8::1", 25),
    ) == settings.routing.smarthosts


def test_a_hook_may_be_given_half_a_second(tmp_path: Path) -> None:
    settings = load(written(tmp_path, LEAST + "[policy]\nhook_s_max = 0.5\n")).settings

    assert 0.5 == settings.policy.hook_s_max
    assert 2.0 == load(written(tmp_path, LEAST + "[policy]\nhook_s_max = 2\n")).settings.policy.hook_s_max


def test_paths_are_relative_to_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, LEAST + '[policy]\nscript = "policy.py"\n')
    monkeypatch.chdir("/")

    assert tmp_path / "policy.py" == load(tmp_path / "pymta.toml").settings.policy.script


@pytest.mark.parametrize(
    ("text", "line", "option", "expected"),
    [
        ('[server]\n\nhostnme = "a.example"\n', 3, "server.hostnme", 'is "hostname" meant?'),
        ("[queue]\n", None, "server", "missing"),
        (LEAST + "[sever]\nx = 1\n", 3, "sever", 'is "server" meant?'),
        (LEAST + '[limits]\nrecipients_max = "many"\n', 4, "limits.recipients_max", "int"),
        (LEAST + "[limits]\nrecipients_max = 0\n", 4, "limits.recipients_max", ">= 1"),
        (LEAST + '[delivery]\ntls = "yes"\n', 4, "delivery.tls", '"opportunistic"'),
        (LEAST + '[log.verbs]\nconnect = "some"\n', 3, "log.verbs", '"problems"'),
        (LEAST + '[http]\naddress = "localhost:2580"\n', 4, "http.address", "IP address"),
        (LEAST + '[http]\naddress = "0.0.0.0:2580"\n', 4, "http.address", "loopback"),
        (LEAST + '[dns]\nresolvers = [\n  "127.0.0.1",\n  "dns",\n]\n', 6, "dns.resolvers[1]", "dns"),
        (LEAST + '[domains]\nrelay_domains = ["a b"]\n', 4, "domains.relay_domains[0]", ".example.org"),
        (
            LEAST + "[queue]\nretry_s_min = 9_000\n",
            4,
            "queue.retry_s_min",
            "queue.retry_s_max, which is 7200",
        ),
        (
            LEAST + '[[routes]]\ndomain = "a.example"\ntransport = "lmtp"\n',
            3,
            "routes[0].next_hops",
            "at least one",
        ),
        (
            LEAST + '[[routes]]\ndomain = "a.example"\ntransport = "pipe"\n',
            3,
            "routes[0].command",
            "missing",
        ),
        (
            LEAST + '[[routes]]\ndomain = "a.example"\ntransport = "pipe"\ncommand = ["procmail"]\n',
            6,
            "routes[0].command",
            "whole path",
        ),
        (
            LEAST + '[[routes]]\ndomain = "a.example"\nfile = "/var/mail/x"\n',
            5,
            "routes[0].file",
            'not "mbox"',
        ),
        (
            LEAST + '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\nrole = "lmtp"\n',
            5,
            "listeners[0].address",
            "another port than 25",
        ),
        (
            LEAST + '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\ntls = "starttls"\n',
            3,
            "listeners[0].certificate_file",
            "needs one",
        ),
        (
            LEAST + '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\nlimits = { recipients = 5 }\n',
            6,
            "listeners[0].limits.recipients",
            "none of that name",
        ),
        (
            LEAST
            + '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\n[listeners.limits]\nrecipients_max = -1\n',
            7,
            "listeners[0].limits.recipients_max",
            ">= 1",
        ),
    ],
)
def test_an_error_names_file_line_key_and_what_was_expected(
    tmp_path: Path, text: str, line: int | None, option: str, expected: str
) -> None:
    file = written(tmp_path, text)

    error = refused(file)

    assert (file, line, option) == (error.file, error.line, option and error.option)
    assert expected in error.problem
    assert "\n" not in str(error)
    assert str(error).startswith(f"{file}:{line}: {option}: " if line else f"{file}: {option}: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [("[server\n", 1), ('[server]\nhostname = "a\n', 2), ("[server]\nhostname = 1\nhostname = 2\n", 3)],
)
def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    error = refused(written(tmp_path, text))

    assert line == error.line
    assert "not TOML" in error.problem


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    assert f"{tmp_path}/none.toml: cannot be read: No such file or directory" == str(
        refused(tmp_path / "none.toml")
    )


def test_octets_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "pymta.toml"
    file.write_bytes(b'[server]\nhostname = "a\xff"\n')

    assert "UTF-8" in refused(file).problem


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    """
    Valid TOML of any depth must not end the process.
    """
    assert refused(written(tmp_path, "x = " + "[" * 50_000 + "]" * 50_000)).problem


# ---- conf.d ----------------------------------------------------------------------------------------------------------


def test_later_files_win_tables_are_merged_and_lists_replaced(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        LEAST
        + '[queue]\nlifetime_s = 100_000\nactive_max = 2000\n[domains]\nrelay_domains = ["a.example", "b.example"]\n',
    )
    written(tmp_path, '[domains]\nrelay_domains = ["c.example"]\n', "conf.d/10-domains.toml")
    written(tmp_path, "[queue]\nlifetime_s = 200_000\n", "conf.d/20-queue.toml")
    written(tmp_path, "[queue]\nlifetime_s = 1\n", "conf.d/not-read.toml.off")

    loaded = load(main)

    assert (200_000, 2000) == (loaded.settings.queue.lifetime_s, loaded.settings.queue.active_max)
    assert (DomainPattern("c.example"),) == loaded.settings.domains.relay_domains
    assert ["pymta.toml", "10-domains.toml", "20-queue.toml"] == [file.name for file in loaded.files]


def test_the_origin_of_a_value_is_the_file_and_line_that_won(tmp_path: Path) -> None:
    main = written(tmp_path, LEAST + "[queue]\nlifetime_s = 100_000\nactive_max = 2000\n")
    extra = written(tmp_path, "\n\n[queue]\nlifetime_s = 200_000\n", "conf.d/x.toml")

    loaded = load(main)
    lifetime, active = loaded.origin_of(("queue", "lifetime_s")), loaded.origin_of(("queue", "active_max"))

    assert lifetime is not None
    assert active is not None
    assert (extra, 4) == (lifetime.file, lifetime.line)
    assert (main, 5) == (active.file, active.line)


def test_an_error_in_an_extra_file_names_that_file(tmp_path: Path) -> None:
    main = written(tmp_path, LEAST)
    extra = written(tmp_path, '[domains]\nrelay_domains = [\n"ok.example",\n7]\n', "conf.d/x.toml")

    error = refused(main)

    assert (extra, 4, "domains.relay_domains[1]") == (error.file, error.line, error.option)


def test_an_error_in_a_replaced_list_does_not_name_the_old_one(tmp_path: Path) -> None:
    """
    The third element is only in the file that won, although the one that lost had a third element too.
    """
    main = written(
        tmp_path, LEAST + '[domains]\nrelay_domains = [\n"a.example",\n"b.example",\n"c.example"]\n'
    )
    extra = written(tmp_path, '[domains]\nrelay_domains = ["a.example", "b.example", 3]\n', "conf.d/x.toml")

    error = refused(main)

    assert (extra, 2) == (error.file, error.line)


# ---- never an open relay ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "option"),
    [
        (
            'address = "0.0.0.0:25"\ntrusted_networks = ["10.0.0.0/8", "0.0.0.0/0"]',
            "listeners[0].trusted_networks[1]",
        ),
        ('address = "[::]:25"\ntrusted_networks = ["::/0"]', "listeners[0].trusted_networks[0]"),
        ('address = "192.0.2.1:25"\ntrusted_networks = ["0.0.0.0/1"]', "listeners[0].trusted_networks[0]"),
        ('address = "192.0.2.1:25"\nxclient_networks = ["0.0.0.0/0"]', "listeners[0].xclient_networks[0]"),
        ('address = "192.0.2.1:25"\nproxy_networks = ["2000::/3"]', "listeners[0].proxy_networks[0]"),
        (
            'address = "127.0.0.1:25"\nproxy_networks = ["127.0.0.1"]\ntrusted_networks = ["0.0.0.0/0"]',
            "listeners[0].trusted_networks[0]",
        ),
    ],
)
def test_trusting_everyone_on_an_open_port_is_refused(tmp_path: Path, listener: str, option: str) -> None:
    error = refused(written(tmp_path, LEAST + f'[[listeners]]\nname = "in"\n{listener}\n'))

    assert option == error.option
    assert "open relay" in error.problem or "anyone" in error.problem


@pytest.mark.parametrize("pattern", ["*", "org", ".org"])
def test_relaying_for_everyone_on_an_open_port_is_refused(tmp_path: Path, pattern: str) -> None:
    text = (
        LEAST
        + f'[[listeners]]\nname = "in"\naddress = "0.0.0.0:25"\n[domains]\nrelay_domains = ["{pattern}"]\n'
    )

    error = refused(written(tmp_path, text))

    assert "domains.relay_domains[0]" == error.option
    assert "open relay" in error.problem


def test_trusting_everyone_on_loopback_is_for_a_lab() -> None:
    text = LEAST + '[[listeners]]\nname = "in"\naddress = "127.0.0.1:25"\ntrusted_networks = ["0.0.0.0/0"]\n'

    settings = load_text(text + '[domains]\nrelay_domains = ["*"]\n', base=Path("/")).settings

    assert settings.domains.relay_domains[0].is_everything


def test_a_network_with_host_bits_is_asked_about(tmp_path: Path) -> None:
    text = LEAST + '[[listeners]]\nname = "in"\naddress = "0.0.0.0:25"\ntrusted_networks = ["10.1.2.3/8"]\n'

    assert 'is "10.0.0.0/8" meant?' in refused(written(tmp_path, text)).problem


# ---- limits of one listener ------------------------------------------------------------------------------------------


def test_a_listener_overrides_single_limits() -> None:
    text = LEAST + (
        "[limits]\nmessage_octets_max = 1_000_000\nrecipients_max = 200\n"
        '[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\nlimits = { recipients_max = 500 }\n'
        '[[listeners]]\nname = "b"\naddress = "127.0.0.1:26"\n'
    )

    settings = load_text(text, base=Path("/")).settings
    first, second = (settings.limits_of(listener) for listener in settings.listeners)

    assert (1_000_000, 500) == (first.message_octets_max, first.recipients_max)
    assert (1_000_000, 200) == (second.message_octets_max, second.recipients_max)
    assert 500 == first.for_session()["recipients_max"]


ACME = (
    LEAST
    + """
[[listeners]]
name = "in"
address = "127.0.0.1:2525"
tls = "starttls"
[acme]
names = ["mail.example.org"]
agree_to_terms = true
addresses = ["127.0.0.1:2580"]
"""
)


def test_a_listener_whose_certificate_comes_by_acme_names_no_file() -> None:
    assert "mail.example.org" == str(load_text(ACME, base=Path("/")).settings.acme.names[0])


@pytest.mark.parametrize(
    ("before", "after", "option", "said"),
    [
        ("agree_to_terms = true", "", "acme.agree_to_terms", "terms"),
        ('addresses = ["127.0.0.1:2580"]', "", "acme.addresses", "http-01"),
        (
            'addresses = ["127.0.0.1:2580"]',
            'challenge = "tls-alpn-01"',
            "acme.addresses",
            'a listener with tls = "implicit"',
        ),
        (
            "agree_to_terms = true",
            'agree_to_terms = true\naccount_id = "x"',
            "acme.account_secret_file",
            "belong",
        ),
        ('["mail.example.org"]', '["a.example.org", "A.example.org"]', "acme.names[1]", "twice"),
        ('["mail.example.org"]', '["*.example.org"]', "acme.names[0]", "host name"),
        ('names = ["mail.example.org"]', "", "listeners[0].certificate_file", "or names in [acme]"),
        ("agree_to_terms = true", "agree_to_terms = true\nretry_s_max = 5", "acme.retry_s_min", "at most"),
        (
            "agree_to_terms = true",
            'agree_to_terms = true\ndirectory_url = "http://ca.example/"',
            "acme.directory_url",
            "https",
        ),
    ],
)
def test_what_acme_cannot_do_without_is_said(before: str, after: str, option: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(ACME.replace(before, after), base=Path("/"))

    assert option == caught.value.option
    assert said in caught.value.problem
