"""One budget of calls per account, shared by all workers.

`Budget` is the budget itself: permits, reserved one script call each, and what the answers teach it.
`Pacer` waits for the permits of one client's calls. `accounts` says whose budget it is.
"""

from .budget import Budget, Limits, Outcome, Quota, Reservation, Standing, describe
from .pacer import Paced, Pacer

__all__ = [
    "Budget",
    "Limits",
    "Outcome",
    "Paced",
    "Pacer",
    "Quota",
    "Reservation",
    "Standing",
    "describe",
]
