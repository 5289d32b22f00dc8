"""Arguments of a program, and what its exit status means."""

import pytest

from pymta._core import Address
from pymta.deliver.pipe import arguments_of, reply_of_status


@pytest.mark.parametrize(
    ("command", "path", "expected"),
    [
        (("/bin/x", "{local_part}", "{domain}"), "user@d.example", ("/bin/x", "user", "d.example")),
        (("/bin/x", "-a", "{forward_path}"), ";id;@d.example", ("/bin/x", "-a", ";id;@d.example")),
        (("/bin/x", "-a{local_part}"), "-oX@d.example", ("/bin/x", "-a-oX")),
        (("/bin/x", "{local_part}"), "-oX@d.example", None),
        (("/bin/x", "--", "{local_part}"), "-oX@d.example", ("/bin/x", "--", "-oX")),
        (("/bin/x", "{local_part}"), "{domain}@d.example", ("/bin/x", "{domain}")),
        (("/bin/x", "{local_part}"), "$(id)`id`|id@d.example", ("/bin/x", "$(id)`id`|id")),
        (
            ("/bin/x", "{unknown}{spool_id}{reverse_path}"),
            "user@d.example",
            ("/bin/x", "{unknown}1ba@b.example"),
        ),
    ],
)
def test_an_address_is_never_an_option_nor_looked_into(
    command: tuple[str, ...], path: str, expected: tuple[str, ...] | None
) -> None:
    try:
        address = Address(path)
    except ValueError:
        address = Address('"{}"@{}'.format(*path.rsplit("@", 1)))
        expected = expected and tuple(
            part.replace("$(id)`id`|id", '"$(id)`id`|id"').replace(";id;", '";id;"') for part in expected
        )
    assert expected == arguments_of(command, "1b", "a@b.example", address)


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (0, "250 2.0.0"),
        (67, "550 5.1.1"),
        (77, "550 5.7.1"),
        (65, "554 5.6.0"),
        (75, "451 4.3.0"),
        (1, "451 4.3.0"),
        (70, "451 4.3.0"),
        (127, "451 4.3.0"),
        (-9, "451 4.3.0"),
    ],
)
def test_only_a_status_about_the_message_fails_it(status: int, reply: str) -> None:
    assert str(reply_of_status(status, b"")).startswith(reply)


def test_what_a_program_says_is_made_harmless() -> None:
    reply = reply_of_status(77, b"no \x1b[31mway\r\n250 second line")

    assert "550 5.7.1 no ?[31mway" == str(reply)
