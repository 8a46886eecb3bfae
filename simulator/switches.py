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
    `date_filter`: whether `date` includes rows of that very moment.
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
    date_filter: Literal["inclusive", "exclusive"] = "inclusive"
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
