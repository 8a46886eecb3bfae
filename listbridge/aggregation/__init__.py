"""What the events of a stream do to a profile: the mapping language, `reduce` and `merge`.

`parse` reads a mapping, `compile_program` checks mappings and puts them together, `reduce` makes of a
batch of events one partial for each person, `merge` adds two partials, `view` shows one.
"""

from listbridge.aggregation.errors import MappingError
from listbridge.aggregation.library import shipped
from listbridge.aggregation.parser import parse
from listbridge.aggregation.partials import Partial, View, merge, merge_into, view
from listbridge.aggregation.programs import FieldDefinition, Program, compile_program
from listbridge.aggregation.reduction import reduce
from listbridge.aggregation.syntax import Mapping

__all__ = [
    "FieldDefinition",
    "Mapping",
    "MappingError",
    "Partial",
    "Program",
    "View",
    "compile_program",
    "merge",
    "merge_into",
    "parse",
    "reduce",
    "shipped",
    "view",
]
