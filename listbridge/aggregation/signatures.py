"""What a function of the language is: its parameters, what it returns, and what the reference says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from listbridge.aggregation.values import Type, Value, as_text

Types = tuple[Type, ...]

TEXT: Final[Types] = ("string", "list")
"""Text; of a list its first element is taken."""
COMPARABLE: Final[Types] = ("string", "int", "number", "bool", "time")
WORDS: Final[Types] = (*COMPARABLE, "list")
"""What reads as text."""
MAP: Final[Types] = ("map",)


class BadArgumentError(ValueError):
    """An argument written in the mapping has a value that the function can't use."""

    def __init__(self, position: int, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.position = position
        self.found = found
        self.expected = expected


@dataclass(frozen=True)
class Parameter:
    """One argument: the types it may have, and whether it must be written in the mapping itself."""

    name: str
    types: Types = WORDS
    constant: bool = False


@dataclass(frozen=True)
class Function:
    """A function of one event.

    `optional` of the parameters, the last ones, may be left out; a `variadic` function takes any number
    of further arguments like its last parameter. `examples` are expressions with their value for the
    reference's event, None where there is none. `shown` is the list of arguments, where the names of
    the parameters don't say it.
    """

    parameters: tuple[Parameter, ...]
    build: Callable[[Sequence[Value]], Value]
    meaning: str
    examples: tuple[tuple[str, Any], ...] = field(default=(), compare=False)
    optional: int = 0
    variadic: bool = False
    shown: str = ""

    def accepts(self, count: int) -> bool:
        """Whether it can be called with that many arguments."""
        least = len(self.parameters) - self.optional
        return count >= least and (self.variadic or count <= len(self.parameters))

    @property
    def arity(self) -> str:
        """How many arguments are right, for a message."""
        most, least = len(self.parameters), len(self.parameters) - self.optional
        if self.variadic:
            return f"{least} or more"
        if not most:
            return "none: it is about the event's own time"
        if least == most:
            return str(most)
        return f"none or {most}" if not least else f"{least} or {most}"

    def parameter(self, position: int) -> Parameter:
        """The parameter that the argument at a position (from 0) is for."""
        return self.parameters[min(position, len(self.parameters) - 1)]

    def signature(self, name: str) -> str:
        """As the reference shows it: `replace(text, old[, new])`."""
        if self.shown:
            return f"{name}({self.shown})"
        required = len(self.parameters) - self.optional
        text = ", ".join(parameter.name for parameter in self.parameters[:required])
        for parameter in self.parameters[required:]:
            text += f"[, {parameter.name}]" if text else f"[{parameter.name}]"
        return f"{name}({text}{', …' if self.variadic else ''})"


def of_text(
    build: Callable[[pl.Expr], pl.Expr],
    meaning: str,
    *examples: tuple[str, Any],
    returns: Type = "string",
    types: Types = WORDS,
    name: str = "text",
) -> Function:
    """A function of one text."""

    def built(arguments: Sequence[Value]) -> Value:
        return Value(build(as_text(arguments[0])), returns)

    return Function((Parameter(name, types),), built, meaning, examples)


def present(text: pl.Expr) -> pl.Expr:
    """The text, missing where it is empty."""
    return pl.when(text != "").then(text)
