"""Secrets at rest: encrypted with the first key of LISTBRIDGE_ENCRYPTION_KEYS, readable with any of them."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from listbridge.errors import Fatal


class NoEncryptionKey(Fatal):
    """Set LISTBRIDGE_ENCRYPTION_KEYS (`listbridge init` makes one) before storing credentials."""


class WrongEncryptionKey(Fatal):
    """A stored secret needs a key that LISTBRIDGE_ENCRYPTION_KEYS no longer holds: put it back."""


class Secrets:
    """Encrypts and decrypts short texts. The keys are newest first, so that one can be replaced."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def encrypt(self, text: str) -> str:
        return self._box().encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        try:
            return self._box().decrypt(token.encode()).decode()
        except InvalidToken:
            raise WrongEncryptionKey(WrongEncryptionKey.__doc__) from None

    def _box(self) -> MultiFernet:
        if self._fernet is None:
            raise NoEncryptionKey(NoEncryptionKey.__doc__)
        return self._fernet
