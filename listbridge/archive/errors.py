"""What can be wrong with the archive.

    SystemProblem
    └── Retriable
        └── StorageError      the archive's storage can't be used now: free the disk, mend the access

An address that can't be one, or a package that isn't installed, is a `SettingsError` at start.
"""

from __future__ import annotations

from listbridge.errors import Retriable


class StorageError(Retriable):
    """The archive's storage can't be read or written now; the message says what failed and where."""
