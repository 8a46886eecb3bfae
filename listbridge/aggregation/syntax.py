"""The parse tree of a mapping, and the one canonical text of each expression.

Two expressions that differ only in spacing, comments, letter case of keywords and functions, aliases
of a function, `=` for `==` or redundant parentheses have the same canonical text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where something stands in a mapping file; line and column count from 1."""

    source: str
    line: int
    column: int


@dataclass(frozen=True)
class Field:
    """A field of the stream."""

    place: Place
    name: str


@dataclass(frozen=True)
class Literal:
    """A constant: text, whole number, decimal number or truth value."""

    place: Place
    value: str | int | float | bool


@dataclass(frozen=True)
class Call:
    """A function and its arguments; the name is in lower case."""

    place: Place
    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Comparison:
    """`left operator right`, the operator being one of == != > >= < <= CONTAINS LIKE."""

    place: Place
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Membership:
    """`member IN (choices)`."""

    place: Place
    member: Expression
    choices: tuple[Literal, ...]


@dataclass(frozen=True)
class Existence:
    """`EXISTS operand`."""

    place: Place
    operand: Expression


@dataclass(frozen=True)
class Negation:
    """`NOT operand`."""

    place: Place
    operand: Expression


@dataclass(frozen=True)
class Junction:
    """`left AND right` or `left OR right`; longer chains nest to the left."""

    place: Place
    operator: str
    left: Expression
    right: Expression


Expression = Field | Literal | Call | Comparison | Membership | Existence | Negation | Junction


@dataclass(frozen=True)
class Name:
    """A name that the mapping gives or refers to: of a stream, a table, a profile field, a kind."""

    place: Place
    text: str


@dataclass(frozen=True)
class Capacity:
    """How many values of a set or map are shown."""

    place: Place
    count: int


@dataclass(frozen=True)
class Column:
    """One column of SELECT, with the clauses that follow its expression."""

    place: Place
    expression: Expression
    name: Name
    condition: Expression | None
    kind: Name | None
    merge_operation: Name | None
    capacity: Capacity | None
    shortdesc: str
    longdesc: str


@dataclass(frozen=True)
class Mapping:
    """One parsed statement: what the events of one stream do to a profile."""

    source: str
    columns: tuple[Column, ...]
    stream: Name
    table: Name
    by: tuple[Name, ...]
    where: Expression | None
    name: Name

    @property
    def alias(self) -> str:
        """The mapping's own name (ALIAS), or that of its stream: what another mapping replaces it by."""
        return self.name.text


ALIASES = {"hash.sip": "hash"}
"""Function names that mean another function."""


def canonical(expression: Expression) -> str:
    """Return the expression's one canonical text."""
    match expression:
        case Field(name=name):
            return f"`{name}`"
        case Literal(value=value):
            return json.dumps(value, ensure_ascii=False)
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(canonical, arguments))})"
        case Membership(member=member, choices=choices):
            return f"({canonical(member)} IN ({', '.join(map(canonical, choices))}))"
        case Existence(operand=operand):
            return f"(EXISTS {canonical(operand)})"
        case Negation(operand=operand):
            return f"(NOT {canonical(operand)})"
        case Comparison() | Junction():
            return f"({canonical(expression.left)} {expression.operator} {canonical(expression.right)})"


def first_field(expression: Expression) -> str | None:
    """Return the first field that the expression reads, from left to right, if it reads one."""
    match expression:
        case Field(name=name):
            return name
        case Literal():
            return None
        case Call(arguments=parts):
            pass
        case Membership(member=operand) | Existence(operand=operand) | Negation(operand=operand):
            parts = (operand,)
        case Comparison(left=left, right=right) | Junction(left=left, right=right):
            parts = (left, right)
    return next((found for part in parts if (found := first_field(part)) is not None), None)
