"""From parse tree to typed Polars expressions, checked against the stream's schema."""

from __future__ import annotations

from typing import Final

import polars as pl

from listbridge.aggregation import conditions, values
from listbridge.aggregation.errors import MappingError, nearest
from listbridge.aggregation.functions import FUNCTIONS
from listbridge.aggregation.signatures import COMPARABLE, BadArgumentError, Parameter
from listbridge.aggregation.syntax import (
    Call,
    Comparison,
    Existence,
    Expression,
    Field,
    Junction,
    Literal,
    Membership,
    Negation,
    Place,
    canonical,
)
from listbridge.aggregation.values import Type, Value
from listbridge.streams.schemas import Schema

AGGREGATES: Final = frozenset({"count", "map", "max", "min", "set", "valuect"})
"""Functions over all events of a person; they stand outermost in a column and nowhere else."""


def compile_expression(expression: Expression, schema: Schema) -> Value:
    """Return the expression over a frame of the stream's (normalised) fields.

    Raises MappingError for an unknown field or function, and for an argument of the wrong type.
    """
    match expression:
        case Field():
            return _field(expression, schema)
        case Literal():
            return values.constant(expression)
        case Call():
            return _call(expression, schema)
        case Comparison():
            return _comparison(expression, schema)
        case Membership():
            return _membership(expression, schema)
        case Existence(operand=operand):
            return Value(conditions.exists(compile_expression(operand, schema)), "bool")
        case Negation(operand=operand):
            return Value(~compile_condition(operand, schema), "bool")
        case Junction():
            left = compile_condition(expression.left, schema)
            right = compile_condition(expression.right, schema)
            join = conditions.both if expression.operator == "AND" else conditions.either
            return Value(join(left, right), "bool")


def compile_condition(expression: Expression, schema: Schema) -> pl.Expr:
    """Return an expression that must be a condition: true, false, or null where it can't be evaluated."""
    value = compile_expression(expression, schema)
    if value.type != "bool":
        raise error(
            expression.place, described(expression, value.type), 'a condition such as eq(event, "open")'
        )
    return value.expr


def fields_read(expression: Expression) -> frozenset[str]:
    """The names of the fields that the expression reads."""
    match expression:
        case Field(name=name):
            return frozenset({name})
        case Literal():
            return frozenset()
        case Call(arguments=parts):
            pass
        case Membership(member=operand) | Existence(operand=operand) | Negation(operand=operand):
            parts = (operand,)
        case Comparison(left=left, right=right) | Junction(left=left, right=right):
            parts = (left, right)
    return frozenset().union(*map(fields_read, parts))


def described(expression: Expression, kind: Type) -> str:
    """How an expression is shown in an error."""
    return f"{canonical(expression)}, which is of type {kind}"


def error(place: Place, found: str, expected: str) -> MappingError:
    """A MappingError at a place of the parse tree."""
    return MappingError(place.source, place.line, place.column, found, expected)


def _field(node: Field, schema: Schema) -> Value:
    if node.name not in schema:
        raise error(node.place, f"`{node.name}`, which is no field of the stream", nearest(node.name, schema))
    return Value(pl.col(node.name), schema[node.name])


def _call(node: Call, schema: Schema) -> Value:
    if node.function in AGGREGATES:
        raise error(node.place, f"{node.function}() inside an expression", "it as the outermost function")
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise error(
            node.place,
            f"an unknown function `{node.function}`",
            nearest(node.function, AGGREGATES.union(FUNCTIONS)),
        )
    if not function.accepts(len(node.arguments)):
        raise _wrong_count(node, function.arity)
    arguments = [compile_expression(argument, schema) for argument in node.arguments]
    for position, (argument, part) in enumerate(zip(arguments, node.arguments, strict=True)):
        _check_argument(function.parameter(position), argument, part)
    try:
        return function.build(arguments)
    except BadArgumentError as problem:
        raise error(node.arguments[problem.position].place, problem.found, problem.expected) from None


def _check_argument(parameter: Parameter, argument: Value, part: Expression) -> None:
    if argument.type not in parameter.types:
        any_scalar = set(COMPARABLE) <= set(parameter.types)
        wanted = (
            "text, a number or a truth value" if any_scalar else f"of type {' or '.join(parameter.types)}"
        )
        raise error(part.place, described(part, argument.type), f"an argument: {wanted}")
    if parameter.constant and argument.literal is None:
        raise error(part.place, canonical(part), "text in double quotes, the same for all events")


def check_arity(node: Call, wanted: int) -> None:
    """Raise MappingError unless the call has that many arguments."""
    if len(node.arguments) != wanted:
        raise _wrong_count(node, str(wanted))


def _wrong_count(node: Call, wanted: str) -> MappingError:
    return error(node.place, f"{len(node.arguments)} argument(s) of {node.function}()", wanted)


def _comparison(node: Comparison, schema: Schema) -> Value:
    left, right = compile_expression(node.left, schema), compile_expression(node.right, schema)
    if wanted := conditions.comparable(left, node.operator, right):
        found = f"{left.type} {node.operator} {right.type}"
        raise error(node.place, found, wanted)
    return Value(conditions.compares(left, node.operator, right), "bool")


def _membership(node: Membership, schema: Schema) -> Value:
    member = compile_expression(node.member, schema)
    if member.type in ("map", "bool", "list"):
        raise error(node.place, described(node.member, member.type), "text or a number before IN")
    return Value(conditions.is_among(member, [values.constant(choice) for choice in node.choices]), "bool")
