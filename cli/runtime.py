"""What every command needs: the context, and problems said in one line instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import redis
from marshmallow import ValidationError
from rich.console import Console
from rich.text import Text

import settings as settings_module
from cli.processes import NotReady
from listbridge.aggregation import MappingError
from listbridge.context import Context, build
from listbridge.errors import SystemProblem
from listbridge.snapshots import SnapshotError
from listbridge.store.embedded import opened
from listbridge.store.store import StoreError
from settings import Settings, SettingsError

EXPECTED = (SystemProblem, SettingsError, StoreError, SnapshotError, MappingError, NotReady, OSError)

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


class Group(click.Group):
    """A group whose commands end with a message and status 1 for every problem that we know."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever reads has enough, as `head` has: click ends without a word
        except EXPECTED as problem:
            fail(_said(problem))
        except ValidationError as problem:
            fail("\n".join(flat(problem.normalized_messages())))
        except redis.ResponseError as problem:
            fail(f"the store refuses: {problem}")
        except redis.RedisError as problem:
            fail(f"the store can't be reached: {problem}")


def _said(problem: Exception) -> str:
    """The words of a problem; of one of the operating system, without its number."""
    if isinstance(problem, OSError) and problem.filename is not None and problem.strerror:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)


def fail(message: str) -> None:
    """Say what is wrong on standard error and exit with 1."""
    errors.print(Text("error: ", style="bold red") + Text(message.strip()))
    sys.exit(1)


def flat(messages: Mapping[Any, Any], path: str = "") -> list[str]:
    """Marshmallow's nested messages, a line each with the path of what is wrong."""
    lines: list[str] = []
    for name, value in messages.items():
        if name == "_schema" and not isinstance(value, Mapping):
            lines += [str(text) for text in value]
            continue
        here = (
            f"{path}.{name}"
            if path and not isinstance(name, int)
            else f"{path}[{name}]"
            if path
            else str(name)
        )
        if isinstance(value, Mapping):
            lines += flat(value, here)
        else:
            lines += [f"{here}: {text}" for text in value]
    return lines


def settings() -> Settings:
    return settings_module.current()


@contextmanager
def context() -> Iterator[Context]:
    """The context of one command: the running store, or an embedded one for as long as the command runs."""
    held = settings()
    with opened(held) as url:
        yield build(held, url)
