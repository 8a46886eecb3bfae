"""The language's functions of one event, by name.

What Polars can't express itself runs as plain Python on the distinct values of a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from listbridge.aggregation.addresses import email, email_domain
from listbridge.aggregation.cast_functions import CAST_FUNCTIONS
from listbridge.aggregation.hash_functions import HASH_FUNCTIONS, hash_sip
from listbridge.aggregation.logic_functions import LOGIC_FUNCTIONS
from listbridge.aggregation.signatures import Function
from listbridge.aggregation.text_functions import TEXT_FUNCTIONS
from listbridge.aggregation.time_functions import TIME_FUNCTIONS
from listbridge.aggregation.url_functions import URL_FUNCTIONS
from listbridge.aggregation.urls import urlmain

__all__ = ["FUNCTIONS", "GROUPS", "Function", "email", "email_domain", "hash_sip", "urlmain"]

GROUPS: Final[Mapping[str, Mapping[str, Function]]] = MappingProxyType(
    {
        "Text": TEXT_FUNCTIONS,
        "Times": TIME_FUNCTIONS,
        "URLs": URL_FUNCTIONS,
        "Types": CAST_FUNCTIONS,
        "Comparisons": LOGIC_FUNCTIONS,
        "Hashes": HASH_FUNCTIONS,
    }
)

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {name: function for group in GROUPS.values() for name, function in group.items()}
)
