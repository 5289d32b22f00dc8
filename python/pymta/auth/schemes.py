"""
One stored password: made, verified, and whether it is still good enough.

    $argon2id$…          what we make (RFC 9106)
    {SCRAM-SHA-256}…     what we make for SCRAM, see scram.py
    {SSHA}… {SSHA256}… {SSHA512}… {SHA}… {SHA256}… {SHA512}…   LDAP (RFC 2307 and its usage), digest and salt in base64
    $5$… $6$…            SHA-crypt; {CRYPT}, {SHA256-CRYPT}, {SHA512-CRYPT} before it are read over
    $2a$… $2b$… $2y$…    bcrypt; {BLF-CRYPT} before it is read over

All but the first two are brought from elsewhere; they verify, and a login that succeeds replaces them. {SSHA512} is also
what we make for passwords of applications. MD5 and
cleartext are no passwords any more: such an entry never matches.

Functions here compute for milliseconds on purpose. Nobody calls them on the event loop; `Verifier` has threads.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import unicodedata
from typing import Final

import argon2
import bcrypt
import msgspec
from argon2.exceptions import InvalidHashError, VerificationError
from passlib.hash import sha256_crypt, sha512_crypt  # type: ignore[import-untyped] # it has no stubs of its own
from passlib.utils import saslprep  # type: ignore[import-untyped] # likewise

from pymta.auth.scram import PREFIX, SALT_OCTETS, ScramKeys

__all__ = [
    "HashCost",
    "UnknownScheme",
    "make",
    "make_generated",
    "make_scram",
    "needs_upgrade",
    "prepared",
    "scheme_of",
    "stored_forms",
    "verify",
]

# RFC 4616 §2 allows more; nobody types more, and hashing must have an end.
PASSWORD_OCTETS_MAX: Final = 255

_DIGESTS: Final = {
    "{SHA}": "sha1",
    "{SSHA}": "sha1",
    "{SHA256}": "sha256",
    "{SSHA256}": "sha256",
    "{SHA512}": "sha512",
    "{SSHA512}": "sha512",
}
_READ_OVER: Final = re.compile(
    r"\{(?:CRYPT|SHA256-CRYPT|SHA512-CRYPT|BLF-CRYPT|ARGON2ID|ARGON2)\}", re.IGNORECASE
)
_BRACED: Final = re.compile(r"\{[A-Za-z0-9.-]+\}")
_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SHA_CRYPT: Final = re.compile(r"\$([56])\$(?:rounds=(\d{1,9})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]+")
# What a hash that came from elsewhere may cost us at each login: about a second.
_BCRYPT_COST_MAX: Final = 14
_SHA_CRYPT_ROUNDS_MAX: Final = 1_000_000
_BCRYPT_OCTETS_MAX: Final = 72  # what bcrypt looks at


class HashCost(msgspec.Struct, frozen=True, kw_only=True):
    """What hashing a new password costs, and costs whoever guesses."""

    memory_kib: int = 19 * 1024
    passes: int = 2
    scram_iterations: int = 50_000


class UnknownScheme(ValueError):
    """A stored password of a form that we do not know."""


def prepared(password: str) -> str:
    """
    The form of a password that is hashed: RFC 4013, so that two keyboards that write one letter in two ways agree.

    What RFC 4013 cannot prepare (newer than its Unicode) is only normalised; no password is refused for its letters.
    """
    if password.isascii():
        return password
    try:
        return str(saslprep(password))
    except ValueError:
        return unicodedata.normalize("NFKC", password)


def make(password: str, cost: HashCost) -> str:
    """The stored form of a password, with a salt of its own."""
    return _hasher(cost).hash(prepared(password))


def make_generated(password: str) -> str:
    """
    The stored form of a password that we have made ourselves, long and random.

    Nobody finds it by guessing, so a fast hash is enough; a dear one for each of them would tell, by the time that a login
    takes, how many an account has.
    """
    salt = os.urandom(SALT_OCTETS)
    digest = hashlib.sha512(password.encode() + salt).digest()
    return "{SSHA512}" + base64.b64encode(digest + salt).decode("ascii")


def make_scram(password: str, cost: HashCost) -> str:
    """The stored form for SCRAM."""
    return ScramKeys.of_password(prepared(password), os.urandom(SALT_OCTETS), cost.scram_iterations).stored()


def stored_forms(password: str, cost: HashCost, *, scram: bool) -> list[str]:
    """All forms in which a new password is stored: for PLAIN, and where it is wanted for SCRAM."""
    return [make(password, cost), *([make_scram(password, cost)] if scram else [])]


def scheme_of(stored: str) -> str:
    """
    What a stored password is, as `argon2id`, `scram-sha-256`, `ssha512`, `sha512-crypt`, `bcrypt`.

    Raises:
        UnknownScheme: It is nothing that can be verified; the sentence does not repeat it.
    """
    text = _READ_OVER.sub("", stored, count=1)
    if text.startswith("$argon2id$"):
        return "argon2id"
    if text.startswith(PREFIX):
        ScramKeys.parse(text)
        return "scram-sha-256"
    if _BCRYPT.fullmatch(text) and int(text[4:6]) <= _BCRYPT_COST_MAX:
        return "bcrypt"
    crypted = _SHA_CRYPT.fullmatch(text)
    if crypted is not None and int(crypted[2] or 5000) <= _SHA_CRYPT_ROUNDS_MAX:
        return {"5": "sha256-crypt", "6": "sha512-crypt"}[crypted[1]]
    braced = _BRACED.match(text)
    if braced is not None and braced[0].upper() in _DIGESTS:
        return braced[0].strip("{}").lower()
    raise UnknownScheme("not a stored password of a known scheme")


def verify(stored: str, password: str) -> bool:
    """Whether it is that password. False for what is no stored password, too: a broken entry lets nobody in."""
    if not password or len(password.encode()) > PASSWORD_OCTETS_MAX:
        return False
    text = _READ_OVER.sub("", stored, count=1)
    try:
        scheme = scheme_of(stored)
    except ValueError:
        return False
    # What was hashed elsewhere was perhaps hashed as it was typed.
    return any(_matches(scheme, text, candidate) for candidate in {prepared(password), password})


def needs_upgrade(stored: str, cost: HashCost) -> bool:
    """Whether a login should replace it by what `make` makes now."""
    if not stored.startswith("$argon2id$"):
        return True
    try:
        return _hasher(cost).check_needs_rehash(stored)
    except InvalidHashError:
        return True


def _hasher(cost: HashCost) -> argon2.PasswordHasher:
    return argon2.PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=1)


def _matches(scheme: str, text: str, password: str) -> bool:
    try:
        match scheme:
            case "argon2id":
                return argon2.PasswordHasher().verify(text, password)
            case "scram-sha-256":
                keys = ScramKeys.parse(text)
                again = ScramKeys.of_password(password, keys.salt, keys.iterations)
                return hmac.compare_digest(keys.stored_key, again.stored_key)
            case "bcrypt":
                return bcrypt.checkpw(password.encode()[:_BCRYPT_OCTETS_MAX], text.encode())
            case "sha256-crypt":
                return bool(sha256_crypt.verify(password, text))
            case "sha512-crypt":
                return bool(sha512_crypt.verify(password, text))
        return _digest_matches(text, password)
    except (VerificationError, InvalidHashError, ValueError):
        return False


def _digest_matches(text: str, password: str) -> bool:
    brace, _, encoded = text.partition("}")
    name = _DIGESTS[f"{brace.upper()}}}"]
    try:
        octets = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    length = hashlib.new(name, usedforsecurity=False).digest_size
    digest, salt = octets[:length], octets[length:]
    if len(digest) < length or bool(salt) is not brace.upper().startswith("{SS"):
        return False
    made = hashlib.new(name, password.encode() + salt, usedforsecurity=False).digest()
    return hmac.compare_digest(digest, made)
