"""
Which options wait for a restart is told, and none of those that a reload takes over.
"""

from pathlib import Path

import pytest

from pymta.config.load import load_text
from pymta.config.restart import waiting_for_restart
from pymta.config.settings import Settings

LEAST = '[server]\nhostname = "mx.example.test"\n'


def settings(text: str = "") -> Settings:
    return load_text(LEAST + text, base=Path("/")).settings


@pytest.mark.parametrize(
    ("text", "waiting"),
    [
        ("", ()),
        ("[queue]\nlifetime_s = 1000\n[limits]\nrecipients_max = 9\n", ()),
        ('[delivery]\ntls = "none"\n', ()),
        (
            "[delivery]\nconnections_max = 9\nidle_s_max = 9\n",
            ("delivery.connections_max", "delivery.idle_s_max"),
        ),
        ("workers = 2\n[http]\nenabled = false\n", ("server.workers", "http.enabled")),
        (
            '[acme]\nretry_s_min = 60\naddresses = ["127.0.0.1:80"]\n',
            ("acme.addresses",),
        ),
        ('[sink]\naddress = "127.0.0.1:2526"\n', ("sink.address",)),
    ],
)
def test_what_waits_for_a_restart(text: str, waiting: tuple[str, ...]) -> None:
    assert waiting == waiting_for_restart(settings(), settings(text))
    assert waiting == waiting_for_restart(settings(text), settings())
