"""The password of the pages: only its scrypt hash is kept, and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.settings.validators import SCRYPT

if TYPE_CHECKING:
    from typing import Self

N, R, P = 16_384, 8, 5
"""The costs of a password that is set in plain: OWASP's parameters for 16 MiB, 0.2 s of one core."""

SALT: Final = b"gallformers-images pages"
"""The salt of such a password. It is the same on all machines, whose sessions are valid on each other; no file has the
hash, so nothing is gained by a random one."""

HASH_BYTES: Final = 32
MOST_BYTES: Final = 1024
"""The longest password that is hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """The hash of a password with its costs."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, setting: str) -> Self:
        """Return the password of a valid setting, which is plain or `scrypt:<n>:<r>:<p>:<salt>:<hash>`."""
        if setting.startswith(SCRYPT):
            n, r, p, salt, digest = setting.removeprefix(SCRYPT).split(":")
            padded = salt.rstrip("=") + "=" * (-len(salt.rstrip("=")) % 4)
            return cls(n=int(n), r=int(r), p=int(p), salt=b64decode(padded), digest=b64decode(digest))
        return cls(n=N, r=R, p=P, salt=SALT, digest=_scrypt(setting, n=N, r=R, p=P, salt=SALT))

    def matches(self, entered: str) -> bool:
        """Return whether this is the password; it takes the same time if it is not."""
        made = _scrypt(entered, n=self.n, r=self.r, p=self.p, salt=self.salt)
        return hmac.compare_digest(made, self.digest)

    def key(self, purpose: bytes) -> bytes:
        """Return a secret for one purpose, which changes with the password."""
        return hmac.digest(self.digest, purpose, "sha256")


def _scrypt(password: str, *, n: int, r: int, p: int, salt: bytes) -> bytes:
    encoded = password.encode(errors="surrogatepass")[:MOST_BYTES]
    return hashlib.scrypt(encoded, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=HASH_BYTES)
