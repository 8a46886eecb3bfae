"""Calls about lists and their custom fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..custom_fields import DataType
from ..limits import check_field_name
from ..models import CustomField, ListDetails, ListStats, NewCustomField
from .caller import Caller

UnsubscribeSetting = Literal["AllClientLists", "OnlyThisList"]


class ListCalls(Caller):
    """Lists and custom fields."""

    def list(self, list_id: str) -> ListDetails:
        """A list's title and how it treats opt-ins and unsubscribes."""
        return self._value("GET /lists/{list}", ListDetails, list_id)

    def create_list(self, client_id: str, title: str, *, unsubscribe_setting: UnsubscribeSetting) -> str:
        """Create a list without confirmed opt-in and return its id.

        Raises `AlreadyExists` for a title that a list of the client has. When the answer is lost, the list
        may exist all the same: look for its title.
        """
        body = {
            "Title": title,
            "UnsubscribePage": "",
            "UnsubscribeSetting": unsubscribe_setting,
            "ConfirmedOptIn": False,
            "ConfirmationSuccessPage": "",
        }
        return self._value("POST /lists/{client}", str, client_id, body=body)

    def delete_list(self, list_id: str) -> None:
        """Delete a list with its people. Raises `InvalidRequest` (252) when a draft of a campaign uses it."""
        self._command("DELETE /lists/{list}", list_id)

    def list_stats(self, list_id: str) -> ListStats:
        """Counts of people by state."""
        return self._value("GET /lists/{list}/stats", ListStats, list_id)

    def custom_fields(self, list_id: str) -> tuple[CustomField, ...]:
        """The list's custom fields with their options."""
        return self._value("GET /lists/{list}/customfields", tuple[CustomField, ...], list_id)

    def create_custom_field(
        self,
        list_id: str,
        name: str,
        data_type: DataType,
        options: Sequence[str] = (),
        visible_in_preference_center: bool = False,
    ) -> str:
        """Create a custom field and return its key, such as `[LyticsAudiences]`.

        Options are for the MultiSelect types, which need at least one. Raises `AlreadyExists` when
        the list has a field of that name, `InvalidRequest` for a name over 100 characters.
        """
        endpoint = "POST /lists/{list}/customfields"
        check_field_name(name, endpoint)
        body = NewCustomField(
            field_name=name,
            data_type=data_type,
            options=tuple(options),
            visible_in_preference_center=visible_in_preference_center,
        )
        return self._value(endpoint, str, list_id, body=body)

    def update_options(
        self, list_id: str, key: str, options: Sequence[str], keep_existing: bool = True
    ) -> None:
        """Add options to a MultiSelect field, `key` as the API gave it, with brackets.

        `keep_existing=False` replaces all options and also removes every segment rule on the field
        (documentation of "update custom field options").
        """
        endpoint = "PUT /lists/{list}/customfields/{key}/options"
        body = {"KeepExistingOptions": keep_existing, "Options": [*options]}
        self._command(endpoint, list_id, key, body=body)

    def delete_custom_field(self, list_id: str, key: str) -> None:
        """Delete a field, `key` with brackets, with its values and every segment rule on it."""
        self._command("DELETE /lists/{list}/customfields/{key}", list_id, key)
