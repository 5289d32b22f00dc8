"""What an exchange of SCRAM shows before the proof: the same for who exists and who does not (attacks, row 16)."""

import base64
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pymta.auth.made_up import FORMS_S_MAX
from pymta.auth.schemes import HashCost, make, make_scram
from pymta.auth.scram import ScramKeys
from pymta.auth.verifier import Verifier
from pymta.config.settings.auth import AuthSettings
from pymta.directory import Account, Directory, Password, TableLookup, settled
from pymta.directory.editor import DirectoryEditor
from pymta.directory.sqlite import SqliteLookup
from pymta.mail.secret import Secret

COST = HashCost(memory_kib=1024, passes=1, scram_iterations=4096)
SETTINGS = AuthSettings(hash_memory_octets=1 << 20, hash_passes=1, scram_iterations=50_000)
SECRET = b"what only we know"
Shown = tuple[int, int]


def brought(iterations: int, salt_octets: int) -> str:
    """Keys of another server, as it stored them."""
    return ScramKeys(iterations, bytes(range(salt_octets)), bytes(32), bytes(32)).stored()


class Scene:
    def __init__(self, source: object, secret: bytes = SECRET) -> None:
        self.now_s = 0.0
        self.directory = Directory(source)  # type: ignore[arg-type] # either of two
        self.verifier = Verifier(
            SETTINGS, self.directory, secret=secret, on_trouble=print, monotonic=lambda: self.now_s
        )

    async def keys(self, name: str) -> ScramKeys:
        account: Account | None = await settled(self.directory.account(name))
        return (await self.verifier.scram_keys(account, name))[0]

    async def shown(self, name: str) -> Shown:
        """What tells: iterations, octets of salt."""
        keys = await self.keys(name)
        return keys.iterations, len(keys.salt)


def in_sqlite(folder: Path, keys: dict[str, str]) -> SqliteLookup:
    editor = DirectoryEditor(folder / "directory.db")
    for domain in {name.rpartition("@")[2] for name in keys}:
        editor.add_domain(domain)
    for name, stored in keys.items():
        editor.add_account(name, [stored])
    editor.close()
    return SqliteLookup(folder / "directory.db")


def in_a_table(folder: Path, keys: dict[str, str]) -> TableLookup:
    passwords = {name: [Password(label="", stored=Secret(stored))] for name, stored in keys.items()}
    return TableLookup({name.rpartition("@")[2] for name in keys}, keys, passwords=passwords)


SOURCES = pytest.mark.parametrize("source", [in_sqlite, in_a_table])
Source = Callable[[Path, dict[str, str]], object]


@SOURCES
async def test_made_up_keys_look_like_the_real_ones_of_their_domain(tmp_path: Path, source: Source) -> None:
    """
    Whatever the count that they were imported with, and in each domain by itself.
    """
    old = {f"user{n}@old.example": brought(4096, 16) for n in range(20)}
    mixed = {f"user{n}@mixed.example": brought(*((10_000, 24) if n % 4 else (4096, 12))) for n in range(100)}
    scene = Scene(source(tmp_path, {**old, **mixed}))

    assert {(4096, 16)} == {await scene.shown(f"guess{n}@old.example") for n in range(50)}
    shown = Counter([await scene.shown(f"guess{n}@mixed.example") for n in range(400)])
    assert {(10_000, 24), (4096, 12)} == set(shown)
    assert 240 <= shown[10_000, 24] <= 360, "as often as among the real ones, which is in 3 of 4"
    assert (SETTINGS.scram_iterations, 16) == await scene.shown("guess@elsewhere.example")


@SOURCES
async def test_who_has_no_keys_is_shown_what_who_does_not_exist_is(tmp_path: Path, source: Source) -> None:
    plain = {"plain@old.example": make("secret", COST), "keyed@old.example": brought(7000, 20)}
    scene = Scene(source(tmp_path, plain))

    assert (7000, 20) == await scene.shown("plain@old.example") == await scene.shown("nobody@old.example")


async def test_made_up_keys_are_the_same_after_a_restart_and_in_all_spellings(tmp_path: Path) -> None:
    source = in_sqlite(tmp_path, {"a@x.example": make_scram("secret", COST)})
    one, again = Scene(source), Scene(source)
    nobody = await one.keys("nobody@x.example")

    assert nobody == await again.keys("nobody@x.example")
    assert nobody == await one.keys("NoBody@X.example")
    assert nobody.salt != (await one.keys("other@x.example")).salt
    assert nobody.salt != (await Scene(source, b"another secret").keys("nobody@x.example")).salt
    assert (await one.keys("A@X.example")) == await one.keys("a@x.example")


async def test_a_suspended_account_shows_what_it_showed_before(tmp_path: Path) -> None:
    source = in_sqlite(tmp_path, {"a@x.example": make_scram("secret", COST)})
    before = await Scene(source).keys("a@x.example")
    editor = DirectoryEditor(tmp_path / "directory.db")
    editor.set_account("a@x.example", suspended=True)
    editor.close()

    assert before == await Scene(SqliteLookup(tmp_path / "directory.db")).keys("a@x.example")


async def test_a_form_that_changes_brings_another_salt_and_few_change(tmp_path: Path) -> None:
    """
    As a password that is changed does; an account more in the domain must not shake all the others.
    """
    scene = Scene(in_sqlite(tmp_path, {f"user{n}@x.example": brought(4096, 16) for n in range(20)}))
    names = [f"guess{n}@x.example" for n in range(200)]
    before = [await scene.keys(name) for name in names]
    editor = DirectoryEditor(tmp_path / "directory.db")
    editor.add_account("new@x.example", [brought(60_000, 16)])
    editor.close()
    scene.now_s += FORMS_S_MAX
    after = [await scene.keys(name) for name in names]

    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert 1 <= len(changed) <= 30
    assert all(b.salt != a.salt and 60_000 == a.iterations for b, a in changed)


async def test_a_broken_entry_and_no_address_are_answered_like_all(tmp_path: Path) -> None:
    scene = Scene(
        in_a_table(tmp_path, {"a@x.example": "{SCRAM-SHA-256}broken", "b@x.example": brought(7000, 20)})
    )

    assert (7000, 20) == await scene.shown("a@x.example") == await scene.shown("nobody@x.example")
    for name in ("", "nobody", "@", "a@b@c", "\0", "\udc80@x.example"):
        assert await scene.keys(name) == await scene.keys(name)
        assert len(base64.b64encode((await scene.keys(name)).salt)) >= 24
