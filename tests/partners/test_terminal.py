"""
A program on a screen gets the keys that are pressed, and what it shows is read.
"""

from pathlib import Path

from tests.partners.terminal import Terminal


def test_keys_arrive_as_they_were_pressed_and_the_end_is_seen(tmp_path: Path) -> None:
    with Terminal("cat", "-A", "-", folder=tmp_path) as terminal:
        terminal.press("one; two;", "Enter")
        terminal.wait_for("one; two;$")
        terminal.press("-gone", "C-u", "~A", ";", "Enter")
        terminal.wait_for("~A;$")
        terminal.press("C-d")
        terminal.wait_ended()
