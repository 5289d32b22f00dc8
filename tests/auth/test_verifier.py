"""Passwords against the directory: right and wrong, remembered, stored anew; and never a short cut for who is unknown."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pymta.auth import schemes, verifier
from pymta.auth.schemes import HashCost, make, make_scram
from pymta.auth.verifier import TooBusy, Verifier
from pymta.config.settings.auth import AuthSettings
from pymta.directory import Account, Directory, settled
from pymta.directory.editor import DirectoryEditor
from pymta.directory.sqlite import SqliteLookup
from pymta.mail.secret import Secret

SETTINGS = AuthSettings(hash_memory_octets=1 << 20, hash_passes=1, scram_iterations=4096, remember_s=60)
COST = HashCost(memory_kib=1024, passes=1, scram_iterations=4096)


class Watch:
    now_s = 1000.0

    def __call__(self) -> float:
        self.now_s += 0.1  # so that the directory is looked at anew
        return self.now_s


class Scene:
    def __init__(self, folder: Path) -> None:
        self.watch = Watch()
        self.editor = DirectoryEditor(folder / "directory.db")
        self.editor.add_domain("x.example")
        self.editor.add_account("a@x.example", [make("right one", COST), make_scram("right one", COST)])
        self.directory = Directory(SqliteLookup(folder / "directory.db", monotonic=self.watch))
        self.troubles: list[str] = []
        self.verifier = Verifier(
            SETTINGS,
            self.directory,
            secret=b"secret",
            on_trouble=lambda what, error: self.troubles.append(what),
            monotonic=self.watch,
        )

    async def account(self, name: str = "a@x.example") -> Account | None:
        return await settled(self.directory.account(name))

    async def is_right(self, password: str, name: str = "a@x.example") -> bool:
        return await self.verifier.is_right(await self.account(name), Secret(password))

    def stored(self, name: str = "a@x.example") -> list[str]:
        return [password.stored.reveal() for password in self.directory.lookup.passwords(name)]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    await made.verifier.aclose()
    made.editor.close()


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stored passwords that are verified, each as its scheme."""
    seen: list[str] = []

    def counting(stored: str, password: str, real: Callable[[str, str], bool] = schemes.verify) -> bool:
        seen.append(schemes.scheme_of(stored))
        return real(stored, password)

    monkeypatch.setattr(verifier, "verify", counting)
    return seen


async def test_a_password_is_right_or_wrong(scene: Scene) -> None:
    assert await scene.is_right("right one")
    assert not await scene.is_right("wrong one")
    assert not await scene.is_right("")
    assert not await scene.is_right("right one", "b@x.example")


async def test_a_right_password_is_remembered_until_it_is_changed(scene: Scene, hashes: list[str]) -> None:
    assert await scene.is_right("right one")
    assert await scene.is_right("right one")
    assert ["argon2id"] == hashes
    assert not await scene.is_right("wrong one")
    assert ["argon2id"] * 2 == hashes
    scene.editor.set_password("a@x.example", "", [make("new one", COST)])
    assert not await scene.is_right("right one")
    assert await scene.is_right("new one")


async def test_a_remembered_password_is_forgotten(scene: Scene, hashes: list[str]) -> None:
    assert await scene.is_right("right one")
    scene.watch.now_s += SETTINGS.remember_s
    assert await scene.is_right("right one")
    assert ["argon2id"] * 2 == hashes


async def test_a_suspended_account_stays_out_even_if_remembered(scene: Scene) -> None:
    assert await scene.is_right("right one")
    scene.editor.set_account("a@x.example", suspended=True)
    assert not await scene.is_right("right one")
    scene.editor.set_account("a@x.example", suspended=False)
    assert await scene.is_right("right one")
    scene.editor.set_domain("x.example", catch_all=None, suspended=True)
    assert not await scene.is_right("right one")


@pytest.mark.parametrize(
    "prepare",
    [
        lambda e: None,
        lambda e: e.set_account("a@x.example", suspended=True),
        lambda e: e.set_password("a@x.example", "", []),
        lambda e: e.set_password("a@x.example", "", ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="]),
        lambda e: e.set_password("a@x.example", "", ["broken"]),
        lambda e: e.remove_account("a@x.example"),
    ],
)
async def test_who_fails_costs_one_hash_whoever_it_is(
    scene: Scene,
    hashes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[DirectoryEditor], object],
) -> None:
    """
    Enumeration by time (notes/attacks.md, row 16): unknown, suspended, without a password or with one of another kind,
    each costs one argon2id, which is all that takes time.
    """
    prepare(scene.editor)
    monkeypatch.setattr(
        verifier,
        "verify",
        lambda s, p: hashes.append(s[:9]) or False,  # type: ignore[func-returns-value] # appends
    )
    assert not await scene.is_right("wrong one")

    assert 1 == hashes.count("$argon2id")


async def test_a_password_for_an_application_lets_in_and_is_left_as_it_is(scene: Scene) -> None:
    quick = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
    scene.editor.set_password("a@x.example", "phone", [quick])

    assert await scene.is_right("password")
    await scene.verifier.aclose()
    assert quick in scene.stored()


@pytest.mark.parametrize(
    "brought",
    [
        ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="],
        [make("password", HashCost(memory_kib=64, passes=1))],
        [make_scram("password", COST)],
        [make("password", COST)],  # without keys for SCRAM
    ],
)
async def test_a_login_stores_the_password_as_it_would_be_today(scene: Scene, brought: list[str]) -> None:
    scene.editor.set_password("a@x.example", "", brought)
    assert await scene.is_right("password")
    await scene.verifier.aclose()

    after = scene.stored()
    assert ["argon2id", "scram-sha-256"] == sorted(map(schemes.scheme_of, after))
    assert not any(schemes.needs_upgrade(one, COST) for one in after if "argon2" in one)
    assert all(schemes.verify(one, "password") for one in after)
    assert [] == scene.troubles


async def test_too_many_at_once_are_told_to_come_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The loop goes on while passwords are verified, and the line of those who wait has an end.
    """
    go_on = threading.Event()
    monkeypatch.setattr(verifier, "verify", lambda s, p: go_on.wait(10))
    logins = [asyncio.create_task(scene.is_right("x" * 8)) for _ in range(SETTINGS.waiting_max)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await scene.is_right("y" * 8)
    go_on.set()

    assert [True] * len(logins) == await asyncio.gather(*logins)
