"""Steps from one layout of the store to the next.

A step is named by the schema that it starts from, and is safe to repeat and to be taken by two programs at
once: each leaves the store as if it had been taken once. The version is raised after the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from listbridge.store import keys

if TYPE_CHECKING:
    from listbridge.store.store import Store

Step = Callable[["Store"], object]

STEPS: Mapping[int, Step] = {}
"""Schema -> what makes the next one of it. The first released schema needs none."""

# KEYS: layout; ARGV: schema before, schema after -> the schema held now
_RAISE = """
if redis.call('HGET', KEYS[1], 'schema') == ARGV[1] then redis.call('HSET', KEYS[1], 'schema', ARGV[2]) end
return redis.call('HGET', KEYS[1], 'schema')
"""


def upgrade(store: Store, held: int, wanted: int, steps: Mapping[int, Step] = STEPS) -> bool:
    """Bring a store from the schema that it has to the one wanted; False where a step is missing."""
    if any(version not in steps for version in range(held, wanted)):
        return False
    for version in range(held, wanted):
        steps[version](store)
        store.script(_RAISE, [keys.META], [version, version + 1])
    return True
