"""How many examples the long tests of properties try, and which."""

import os

from hypothesis import HealthCheck, settings

TIMES = float(os.environ.get("TEST_EXAMPLES") or 1)
"""`make test EXAMPLES=20` tries twenty times as many, and others at each run."""

EACH_STEP = 1 if TIMES > 1 else 3
"""Long tests that kill at one step after the other try each third, and all where many examples are asked."""


def examples(count):
    """Settings for a test that tries so many examples: each time the same ones, unless many are asked for."""
    return settings(
        max_examples=max(1, round(count * TIMES)),
        deadline=None,
        derandomize=TIMES <= 1,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
