"""
The keys of SCRAM-SHA-256 (RFC 5802 §3, RFC 7677), and the text they are stored as.

    {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey     the last three in base64, as Dovecot has it

Whoever reads it cannot log in with it, but can try passwords at the price of one PBKDF2 each.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

__all__ = ["PREFIX", "ScramKeys"]

PREFIX: Final = "{SCRAM-SHA-256}"
SALT_OCTETS: Final = 16
# A client computes as many; what a stored text may ask of it and of us.
ITERATIONS_MAX: Final = 10_000_000


class ScramKeys(msgspec.Struct, frozen=True):
    """What a server knows of a password for SCRAM."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of_password(cls, password: str, salt: bytes, iterations: int) -> "ScramKeys":
        """The keys of a prepared password; takes as long as the iterations."""
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        return cls(
            iterations,
            salt,
            hashlib.sha256(client_key).digest(),
            hmac.digest(salted, b"Server Key", "sha256"),
        )

    @classmethod
    def parse(cls, stored: str) -> "ScramKeys":
        """
        The keys of a stored text.

        Raises:
            ValueError: It is none.
        """
        try:
            iterations, *parts = stored.removeprefix(PREFIX).split(",")
            salt, stored_key, server_key = (base64.b64decode(part, validate=True) for part in parts)
            keys = cls(int(iterations), salt, stored_key, server_key)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"not SCRAM keys: {error}") from None
        if not (1 <= keys.iterations <= ITERATIONS_MAX and salt and len(stored_key) == len(server_key) == 32):
            raise ValueError("not SCRAM keys: out of bounds")
        return keys

    def stored(self) -> str:
        """The text that `parse` reads."""
        parts = (base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{PREFIX}{self.iterations},{','.join(parts)}"
