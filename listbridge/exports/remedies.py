"""What to do about a refusal, by its code."""

from __future__ import annotations

from collections.abc import Mapping

_BACK = "they come back when the list says active again; only they themselves can opt in again"

REMEDIES: Mapping[str, str] = {
    "unsubscribed": f"nothing: they opted out; {_BACK}",
    "deleted": "somebody deleted them from the list; add them there again if that was a mistake",
    "bounced": "their mailbox does not take mail; correct the address, or make them active in the list",
    "unconfirmed": "they have to confirm the mail that the list sent them",
    "suppressed": "take them off the client's suppression list, then wait for the next import",
    "invalid": "correct the address or the value, in the source of the audience",
    "unknown_option": "add the option to the list's field, or correct the value; then `export retry`",
    "consent": "set the export's consent_to_track to Yes, No or Unchanged",
    "mobile": "correct the mobile number: E.164, such as +61412345678",
    "unacceptable": "the message says which value can't be sent; correct it in the source of the audience",
    "unreadable": "nothing: the next event of this person repairs the stored profile; then `export retry`",
}

_UNKNOWN = "see the message; when its reason is gone, `export retry`"


def remedy(code: str) -> str:
    """What a person can do; a sentence for every code."""
    return REMEDIES.get(code, _UNKNOWN)
