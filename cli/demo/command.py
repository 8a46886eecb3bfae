"""`demo`: everything at once against the simulator, and whether it came out right."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cli.demo.comparison import Differences, compare_lists, compare_profiles
from cli.demo.reckoning import expected_audiences, expected_profiles
from cli.demo.stage import Stage, stage
from cli.demo.story import FIELD, Story
from cli.demo.ticker import Ticker
from cli.processes import stop_requested
from cli.runtime import fail
from cli.services import local_url
from listbridge.context import Context
from listbridge.profiles.people import unpacked
from listbridge.profiles.views import profile_view
from listbridge.streams.log import duplicates_dropped, events_in
from listbridge.streams.schemas import SCHEMAS


@click.command()
@click.option("--once", is_flag=True, help="Stop after the table instead of staying up until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, last on standard output.")
@click.option(
    "--scale", type=click.IntRange(1, 1000), default=1, show_default=True, help="Multiplies the account."
)
def demo(once: bool, as_json: bool, scale: int) -> None:
    """Show everything working against a simulated Campaign Monitor."""
    directory = Path(tempfile.mkdtemp(prefix="listbridge-demo-"))
    console = Console(stderr=True, highlight=False)
    log_path = directory / "demo.log"
    try:
        with log_path.open("w", encoding="utf-8") as log, stop_requested() as until:
            started = time.monotonic()
            with console.status("starting") as status, stage(directory, scale, log) as set_up:
                ticker = Ticker(console, status)
                story = Story(set_up, ticker.step)
                with ticker.watching(set_up.context.store):
                    story.play()
                    seconds = time.monotonic() - started
                    ticker.step("comparing everything with the simulator's own records")
                    summary, problems = _judge(set_up, story, seconds)
                status.stop()
                _show(console, summary, story, problems)
                if as_json:
                    click.echo(json.dumps(summary))
                if not once:
                    _invite(console, set_up)
                    until.wait()
    except (RuntimeError, TimeoutError, OSError) as problem:
        kept = Path(tempfile.gettempdir()) / "listbridge-demo.log"
        shutil.copyfile(log_path, kept)
        fail(f"the demo broke off: {problem}\nthe log of its processes: {kept}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if problems:
        fail("something differs")


def _invite(console: Console, set_up: Stage) -> None:
    """How to look around while everything stays up."""
    settings = set_up.context.settings
    here = f"LISTBRIDGE_DATA_DIR={settings.data_dir} {sys.argv[0]}"
    console.print("All stays up until Ctrl-C. In another terminal:")
    console.print(f"  {here} workflow list", soft_wrap=True)
    console.print(f"  {here} profiles show new.reader.1@example.org", soft_wrap=True)
    console.print(
        f"  curl -H 'Authorization: Bearer {settings.api_tokens[0]}' {local_url(settings)}/v1/audiences",
        soft_wrap=True,
    )


def _judge(set_up: Stage, story: Story, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Compare, and put the numbers together."""
    records = set_up.control("GET", "/records")
    calls = set_up.control("GET", "/calls")
    audiences = expected_audiences(story.events)
    expected = expected_profiles(records, story.events)
    held = all_profiles(set_up.context)
    profiles = compare_profiles(expected, audiences, held)
    lists = compare_lists(records, story.feeds, audiences, FIELD)
    store = set_up.context.store
    summary = {
        "audience_events": len(story.events),
        "api_calls": calls["total"],
        "subscribers": sum(len(each["subscribers"]) for each in records["lists"]),
        "membership_mismatches": lists.people,
        "added_after_opt_out": len(records["added_after_opt_out"]),
        "events": sum(events_in(store, stream) for stream in SCHEMAS),
        "duplicates_dropped": duplicates_dropped(store),
        "profiles": len(held),
        "profile_mismatches": profiles.people,
        "rebuilt_people": story.rebuilt["people"],
        "rebuilt_events": story.rebuilt["events"],
        "archived_events": story.archived_events,
        "webhook_posts": calls["webhook_posts"],
        "seconds": round(seconds, 1),
    }
    return summary, _problems(lists, profiles, summary, story)


def _problems(lists: Differences, profiles: Differences, summary: dict[str, Any], story: Story) -> list[str]:
    found = [f"lists: {line}" for line in lists.examples] + [
        f"profiles: {line}" for line in profiles.examples
    ]
    if summary["added_after_opt_out"]:
        found.append("somebody who had opted out was added again")
    if not story.rebuilt["complete"]:
        found.append("the rebuild left fields that don't count all events")
    if not story.worker_killed:
        found.append("the worker could not be killed: that part of the story did not happen")
    return found


def all_profiles(context: Context) -> dict[str, dict[str, Any]]:
    """Every profile as users see it, by key."""
    found = {}
    for part in context.store.parts:
        for name, packed in context.store.client.hscan_iter(part.profiles, count=1000):
            key = name.decode()
            program, profile = unpacked(context.programs, packed)
            found[key] = profile_view(program, key, profile)
    return found


def _show(console: Console, summary: dict[str, Any], story: Story, problems: list[str]) -> None:
    table = Table(title="What is there and what should be", header_style="bold")
    table.add_column("")
    table.add_column("count", justify="right")
    table.add_column("should be", justify="right")
    for name, label, wanted in (
        ("audience_events", "audience events sent", None),
        ("subscribers", "people in the lists", None),
        ("membership_mismatches", "people whose list row differs", 0),
        ("added_after_opt_out", "opted out and added again", 0),
        ("events", "events in the streams", None),
        ("duplicates_dropped", "events told again, dropped", None),
        ("profiles", "profiles", None),
        ("profile_mismatches", "profiles that differ", 0),
        ("rebuilt_people", "people made anew by the changed mappings", None),
        ("rebuilt_events", "events that they were made from", None),
        ("archived_events", "of these in Parquet only", None),
        ("webhook_posts", "webhook posts received", None),
        ("api_calls", "API calls", None),
        ("seconds", "seconds", None),
    ):
        value = summary[name]
        colour = "" if wanted is None else "[green]" if value == wanted else "[bold red]"
        table.add_row(label, f"{colour}{value:,}", "" if wanted is None else str(wanted))
    console.print(table)
    console.print(
        f"{story.opted_out_in_the_middle} people opted out in the middle of a delivery; "
        f"the worker was {'killed' if story.worker_killed else 'NOT killed'} in the middle of another."
    )
    for line in problems:
        console.print(f"[red]{line}[/]", soft_wrap=True)
