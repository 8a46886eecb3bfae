"""The API's published limits, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InvalidRequest, LimitExceeded
from .models import ImportRow

MAX_IMPORT_ROWS = 1000  # code 209
MAX_VALUE_LENGTH = 250  # characters of one custom field value, documentation of "add subscriber"
MAX_FIELD_NAME_LENGTH = 100  # the vendor's own Magento plug-in cuts names here
PAGE_SIZES = range(10, 1001)  # code 801


def check_rows(rows: Sequence[ImportRow], endpoint: str) -> None:
    """Raise `InvalidRequest` unless 1 to 1000 rows, `LimitExceeded` for values over 250 characters."""
    if not 1 <= len(rows) <= MAX_IMPORT_ROWS:
        message = f"{len(rows)} rows in one call; it takes 1 to {MAX_IMPORT_ROWS}"
        raise InvalidRequest(message, endpoint=endpoint)
    too_long = tuple(place for place, row in enumerate(rows) if too_long_fields(row))
    if too_long:
        fields = sorted({key for place in too_long for key in too_long_fields(rows[place])})
        message = (
            f"{len(too_long)} row(s) hold a value over {MAX_VALUE_LENGTH} characters in {', '.join(fields)}"
        )
        error = LimitExceeded(message, endpoint=endpoint)
        error.rows = too_long
        raise error


def too_long_fields(row: ImportRow) -> tuple[str, ...]:
    """The keys of the row's custom fields whose value is longer than the API takes."""
    return tuple(field.key for field in row.custom_fields if len(field.value) > MAX_VALUE_LENGTH)


def check_field_name(name: str, endpoint: str) -> None:
    """Raise `InvalidRequest` for a custom field name that is blank or over 100 characters."""
    if not name.strip() or len(name) > MAX_FIELD_NAME_LENGTH:
        message = f"a field name of {len(name)} characters; it takes 1 to {MAX_FIELD_NAME_LENGTH}"
        raise InvalidRequest(message, endpoint=endpoint)


def check_page(page: int, page_size: int, endpoint: str) -> None:
    """Raise `InvalidRequest` for a page before the first or a page size outside 10 to 1000."""
    if page < 1:
        raise InvalidRequest(f"page {page}; the first is 1", endpoint=endpoint)
    if page_size not in PAGE_SIZES:
        message = f"a page size of {page_size}; it takes {PAGE_SIZES[0]} to {PAGE_SIZES[-1]}"
        raise InvalidRequest(message, endpoint=endpoint)
