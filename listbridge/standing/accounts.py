"""How the budget of calls of each account stands."""

from __future__ import annotations

from dataclasses import dataclass

from listbridge import authorizations, pacing
from listbridge.authorizations import Authorization
from listbridge.context import Context
from listbridge.errors import Fatal
from listbridge.systems import account_of, limits_of


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """The budget that an account's authorizations share; the oldest of them stands for the account."""

    authorization: Authorization
    budget: pacing.Standing


def accounts_standing(context: Context) -> list[AccountStanding]:
    """Each account once, oldest authorization first.

    Authorizations whose secret can't be decrypted are left out: nothing can be called with them.
    """
    oldest: dict[str, Authorization] = {}
    for each in authorizations.list_all(context.store):
        try:
            account = account_of(context, each)
        except Fatal:
            continue
        oldest.setdefault(account, each)
    limits = limits_of(context.settings)
    return [
        AccountStanding(each, pacing.describe(context.store, account, limits))
        for account, each in oldest.items()
    ]
