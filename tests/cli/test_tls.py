"""
`pymta tls` tells what there is, and with its exit code whether all is well; no server is running.
"""

import json
from pathlib import Path

from click.testing import CliRunner

from pymta.cli import command_line
from tests.partners.ca import CertificateAuthority

TEXT = """
[server]
hostname = "mail.example.org"
data_folder = "data"
[[listeners]]
name = "mx"
address = "127.0.0.1:2525"
tls = "starttls"
certificate_file = "{one.certificate_file}"
key_file = "{one.key_file}"
[[listeners]]
name = "plain"
address = "127.0.0.1:2526"
[[certificates]]
names = ["b.example.org"]
certificate_file = "{two.certificate_file}"
key_file = "{two.key_file}"
"""


def test_each_certificate_is_a_row(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    file = tmp_path / "pymta.toml"
    file.write_text(TEXT.format(one=authority.issue("a.example.org"), two=authority.issue("b.example.org")))

    done = CliRunner().invoke(command_line, ["tls", "--json", "--config", str(file)])

    assert 0 == done.exit_code, done.output
    assert [
        (["a.example.org"], "everybody else at mx"),
        (["b.example.org"], "who asks for its name"),
    ] == [(row["names"], row["shown_to"]) for row in json.loads(done.output)]


def test_one_that_has_ended_or_is_gone_is_told(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    file = tmp_path / "pymta.toml"
    one, two = authority.issue("a.example.org", expired=True), authority.issue("b.example.org")
    file.write_text(TEXT.format(one=one, two=two))
    two.certificate_file.unlink()

    done = CliRunner().invoke(command_line, ["tls", "--config", str(file)])

    assert 1 == done.exit_code
    assert "2 certificates ended, not usable or not there yet" in done.output
    assert "No such file" in done.output


def test_without_tls_there_is_nothing_to_list(tmp_path: Path) -> None:
    file = tmp_path / "pymta.toml"
    file.write_text('[server]\nhostname = "mail.example.org"\n')

    assert "no listener has TLS" in CliRunner().invoke(command_line, ["tls", "--config", str(file)]).output
