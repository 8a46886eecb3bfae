"""What nobody knows about the service, or what a test wants otherwise, as switches."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class Switches(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings of one simulator; `POST /simulator/settings` changes any of them.

    `bracketed_keys`: custom field keys are read as `[website]`, else as the field's name.
    `import_multi_select`: values sent for a MultiSelectMany field on import replace or join the old.
    `absent_key_untouched`: an update or import without any entry for a MultiSelectMany field leaves
    it as it is, else empties it.
    `bare_keys`: keys are taken without brackets too, else such an entry is passed over.
    `unknown_key`: an import's row with a key that no field has is stored without it, or refused.
    `unknown_option`: a value that is no option of a MultiSelectMany field is dropped, or stored.
    `empty_value`: an empty text without Clear leaves the old one, or empties the field.
    `clear_option`: Clear with a value takes that value of a MultiSelectMany field, or does nothing.
    `duplicate_rows`: which of an import's rows of one address counts.
    `address_identity`: letter case is passed over (`case`), or nothing is (`exact`), or a `+tag` is too
    (`plus`); to be set while the lists are empty.
    `date_filter`: whether `date` includes rows of that very moment, or only its day counts.
    `multi_select_equals`: EQUALS in a rule on a MultiSelectMany field finds who has the option, or who has
    it only, or is refused; if not the first, CONTAINS finds who has it.
    `opt_outs_hold`: a row without Resubscribe leaves who is inactive alone, else brings them back.
    `empty_page_count`: `NumberOfPages` when there are no rows.
    `suppressed_never_in_list`: adding a suppressed person who was never in the list is refused with
    204, or done.
    `resubscribe_lifts_suppression`: re-adding a suppressed person takes them off the suppression list.
    `spam_webhook_state`: `State` of the Deactivate event after a spam complaint.
    `add_delay_seconds`: simulated time until a single add shows.
    `rate_limit`: calls in each `rate_window_seconds` of real time, 0 for no limit; `rate_headers`: every
    answer tells how many are left.
    `segment_limit`: how many segments the account may have, 0 for no limit.
    `too_fast_seconds`: an address that is written again within so much simulated time is refused with 429.
    """

    bracketed_keys: bool = True
    import_multi_select: Literal["replace", "append"] = "replace"
    absent_key_untouched: bool = True
    bare_keys: bool = True
    unknown_key: Literal["ignored", "refused"] = "ignored"
    unknown_option: Literal["dropped", "stored"] = "dropped"
    empty_value: Literal["kept", "cleared"] = "kept"
    clear_option: Literal["removes", "nothing"] = "removes"
    duplicate_rows: Literal["first", "last"] = "last"
    address_identity: Literal["case", "exact", "plus"] = "case"
    date_filter: Literal["inclusive", "exclusive", "day"] = "inclusive"
    multi_select_equals: Literal["has", "only", "refused"] = "has"
    opt_outs_hold: bool = True
    empty_page_count: Literal[0, 1] = 1
    suppressed_never_in_list: Literal["204", "added"] = "added"
    resubscribe_lifts_suppression: bool = True
    spam_webhook_state: Literal["Unsubscribed", "Spam"] = "Unsubscribed"
    add_delay_seconds: float = 0.0
    rate_limit: Annotated[int, msgspec.Meta(ge=0)] = 0
    rate_window_seconds: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    rate_headers: bool = False
    segment_limit: Annotated[int, msgspec.Meta(ge=0)] = 0
    too_fast_seconds: float = 0.0
    webhook_flush_seconds: float = 0.2
    webhook_retry_seconds: float = 0.5
    webhook_retry_longest_seconds: float = 5.0
    webhook_timeout_seconds: float = 10.0

    def change(self, patch: dict[str, Any]) -> None:
        """Apply some settings. Raises `msgspec.ValidationError` and changes nothing if one is wrong."""
        checked = msgspec.convert({**msgspec.structs.asdict(self), **patch}, Switches)
        for name, value in msgspec.structs.asdict(checked).items():
            setattr(self, name, value)
