"""What can keep a person from being erased.

SystemProblem
└── Retriable
    └── ErasureError    not everything could be erased: nothing is half-written, start it again
"""

from __future__ import annotations

from listbridge.errors import Retriable


class ErasureError(Retriable):
    """Start the erasure again: the tombstone stands, and what was removed stays removed."""
