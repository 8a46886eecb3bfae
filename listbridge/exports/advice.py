"""What a person can do about each refusal, in one sentence."""

from __future__ import annotations

_OPTED_OUT = "nothing: they opted out, unless they opt in again: see `resubscribe`; the list's word counts"
_ADVICE = {
    "unsubscribed": _OPTED_OUT,
    "deleted": _OPTED_OUT,
    "unsubscribed_elsewhere": (
        "nothing: they left another list of the client, and `opt_out_scope` is client; it is over when they "
        "subscribe here or there"
    ),
    "bounced": "correct the address: mail to it came back",
    "unconfirmed": "wait: they have been asked by mail to confirm",
    "suppressed": "take the address off the client's suppression list, if the person wants mail again",
    "invalid": "correct the address or the value at its source; the next change of it is sent",
    "unknown_option": "add the option to the field, then pause and resume the export; or send another value",
    "consent": "send Yes, No or Unchanged: see `consent_to_track`",
    "mobile": "correct the number at its source; with its country's prefix it is clear",
    "in_list": "nothing: the export only adds people; `mode` upsert updates them too",
    "duplicate_address": (
        "give one of the two people another address at its source, or take the one who has it out of the "
        "audiences: then the other is tried again by itself"
    ),
    "not_in_list": "nothing, or add them: the export only updates people; `mode` upsert adds them",
    "unreadable": "nothing: the next event of this person repairs the profile",
    "unacceptable": "read the message; the row is sent again when it changes",
}
_OTHER = (
    "look the code up in Campaign Monitor's documentation; the row is sent again when it changes, or by "
    "`export retry`"
)


def known_codes() -> frozenset[str]:
    """The words that we have for refusals; beside them there are the other system's codes."""
    return frozenset(_ADVICE)


def advice(code: str, address: str = "") -> str:
    """What to do about a refusal with this code; `address` is the refused person's."""
    if code == "invalid" and not address.isascii():
        return "use an address in plain letters: Campaign Monitor takes none in other scripts"
    return _ADVICE.get(code, _OTHER)
