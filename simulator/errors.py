"""The API's errors: code -> HTTP status and message.

Messages are the titles of the vendor's error pages, or the text seen on the wire where that is known.
"""

from __future__ import annotations

from typing import Any

ERRORS: dict[int, tuple[int, str]] = {
    1: (400, "Please provide a valid email address."),
    5: (400, "Invalid Date"),
    # No code is known for a body that is not JSON; the message has been seen.
    400: (400, "Failed to deserialize your request. Please check the documentation and try again."),
    60: (401, "You do not have the required permission to access this resource"),
    100: (401, "Invalid API Key"),
    102: (401, "Invalid ClientID"),
    120: (401, "Invalid OAuth Token"),
    121: (401, "Expired OAuth Token"),
    122: (401, "Revoked OAuth Token"),
    176: (400, "Email address not in suppression list"),
    201: (400, "Already subscribed"),
    203: (400, "Subscriber not in list or has already been removed."),
    204: (400, "In Suppression List"),
    205: (400, "Is Deleted"),
    206: (400, "Is Unsubscribed"),
    207: (400, "Is Bounced"),
    208: (400, "Is Unconfirmed"),
    209: (400, "Too many subscribers in this batch. You can only add 1000 subscribers in one call"),
    210: (400, "Subscriber Import had some failures"),
    211: (400, "Invalid New Email Address"),
    212: (400, "No subscribers were provided in this batch"),
    # The documentation numbers this 214; the service answers -213.
    -213: (400, "Please provide a consent to track value."),
    215: (400, "Please provide a valid consent to track value"),
    220: (400, "Invalid mobile number"),
    221: (400, "Invalid email address and mobile number"),
    250: (400, "Duplicate list title"),
    251: (400, "List Title Empty"),
    253: (400, "Invalid Key. Keys must be surrounded with [ ]"),
    254: (400, "Invalid Field Name"),
    255: (400, "The Field Name already exists in this list"),
    256: (400, "Options defined for Text or Number Field"),
    257: (400, "No options defined for Multi-Valued field"),
    259: (400, "Data type is incorrect"),
    261: (400, "Invalid List Unsubscribe Setting"),
    271: (400, "Invalid SegmentID"),
    273: (400, "Segment Title Empty"),
    275: (400, "Duplicate Segment Title"),
    277: (400, "Invalid Segment Rules"),
    283: (400, "Segment Limits Reached"),
    404: (404, "Not Found"),
    429: (429, "Rate limit exceeded"),
    500: (500, "Sorry, we've run into a problem"),
    601: (400, "Invalid Webhook URL"),
    602: (400, "Invalid Webhook Format"),
    603: (400, "Invalid Webhook Event"),
    610: (400, "The webhook request has failed"),
    800: (400, "Invalid page number"),
    801: (400, "The page size must be between 10 and 1000."),
    802: (400, "Invalid order field"),
    803: (400, "Invalid order direction"),
    920: (400, "Invalid from date"),
    922: (400, "Invalid to date"),
    927: (400, "Invalid date range"),
    3000: (400, "Invalid Journey ID"),
    3002: (400, "Invalid Journey Email ID"),
    2703: (400, "Invalid Segment Clauses"),
    2704: (400, "Empty Segment RuleType"),
    2705: (400, "Invalid Segment RuleType"),
    2706: (400, "Empty Segment Clauses"),
    2712: (400, "Invalid Verb For Name Rule"),
    2713: (400, "Invalid Verb For Email Rule"),
    2714: (400, "Invalid Verb For DateSubscribed Rule"),
    2715: (400, "Invalid Verb For Text Field Rule"),
    2716: (400, "Invalid Verb For Number Field Rule"),
    2717: (400, "Invalid Verb For Multi-Option Field Rule"),
    2718: (400, "Invalid Verb For Date Field Rule"),
    2719: (400, "Required Clause Object Missing"),
    2720: (400, "Invalid Date Format"),
    2721: (400, "Invalid Number Format"),
    2722: (400, "Option Doesnt Exist For Field"),
    2750: (400, "Valid CampaignID Required"),
    2751: (400, "Campaign Not Sent To List"),
    2755: (400, "Invalid Between Date Format"),
    2756: (400, "Invalid Between Number Format"),
}


class ApiError(Exception):
    """An answer of the API that is not 2xx: `code` with the status and message of `ERRORS`."""

    def __init__(self, code: int, data: Any = None) -> None:
        self.code = code
        self.status, self.message = ERRORS[code]
        self.data = data
        super().__init__(f"{code} {self.message}")

    def body(self) -> dict[str, Any]:
        """The JSON body; `ResultData` comes first, as recorded for a partly failed import."""
        error = {"Code": self.code, "Message": self.message}
        return error if self.data is None else {"ResultData": self.data, **error}


class UnknownPerson(Exception):
    """The control API was asked to act for someone who is not in the list."""
