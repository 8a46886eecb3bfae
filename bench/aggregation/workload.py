"""The workload: a Campaign Monitor account's activity, made from a seed, as columns and as lines of JSON.

What is realistic about it:

- who is sent to: everybody is in one or two of the lists, and how many campaigns somebody got is
  lognormal (sigma 0.6), each campaign once;
- who opens: lognormal (sigma 1.6) engagement, so that a tenth of the people do most of the opening;
  a click follows an open, four in ten within the same minute, and most of it goes to a campaign's
  first links;
- when: campaigns are evenly spread over two years, opens follow by an exponential delay; all times
  are whole minutes, as the API gives them;
- where: 92 in 100 opens and clicks come from a person's own city, six in 100 lack city and region,
  two more lack the country;
- how it came in: a nightly import, so that `_received` is three o'clock of the following day.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from listbridge.aggregation.frames import columns
from listbridge.streams.events import DAY_MS, Event, encode
from listbridge.streams.schemas import CM_ACTIVITY, SCHEMAS

SHARES: Final = {"sent": 0.55, "open": 0.32, "click": 0.10, "deactivate": 0.02, "subscribe": 0.01}
LISTS: Final = 5
CAMPAIGNS: Final = 60
CITIES: Final = 400
MINUTE_MS: Final = 60_000
START_MS: Final = 1_704_096_000_000
"""2024-01-01 08:00 UTC."""
SPAN_MS: Final = 2 * 365 * DAY_MS
IMPORT_AT_MS: Final = 3 * 3_600_000
VERSION: Final = 3
"""To be raised when the same parameters make other events: a part of the cache's name."""


@dataclass(frozen=True)
class Workload:
    """How many events, of how many people, from which seed."""

    events: int = 1_000_000
    people: int = 50_000
    seed: int = 1

    @property
    def directory(self) -> Path:
        """Where its files are kept, under the system's directory of temporary files."""
        name = f"v{VERSION}-{self.events}-{self.people}-{self.seed}"
        return Path(tempfile.gettempdir()) / "listbridge-bench" / name

    @property
    def sorted_columns(self) -> Path:
        """Parquet, rows in the order of `_key` and `_time`: as the archive's files are."""
        return self.directory / "sorted.parquet"

    @property
    def columns(self) -> Path:
        """Parquet, rows in the order in which they came in."""
        return self.directory / "arrival.parquet"

    @property
    def lines(self) -> Path:
        """Lines of JSON as `streams.events.encode` writes them, in the order in which they came in."""
        return self.directory / "events.jsonl"


def prepare(workload: Workload, *, lines: bool = True) -> None:
    """Make the files that are missing. One that is cut off midway is made again."""
    workload.directory.mkdir(parents=True, exist_ok=True)
    if not workload.columns.exists() or not workload.sorted_columns.exists():
        frame = generate(workload)
        _write(frame.sort("_key", "_time"), workload.sorted_columns)
        _write(frame, workload.columns)
    if lines and not workload.lines.exists():
        partial = workload.lines.with_suffix(".partial")
        with partial.open("wb") as out:
            for received, event in events(pl.read_parquet(workload.columns)):
                out.write(encode(event, received) + b"\n")
        partial.rename(workload.lines)


def _write(frame: pl.DataFrame, path: Path) -> None:
    partial = path.with_suffix(".partial")
    frame.write_parquet(partial)
    partial.rename(path)


def events(frame: pl.DataFrame) -> Iterator[tuple[int, Event]]:
    """When each was received (epoch ms), and the event as the importer makes it, in the frame's order."""
    same = ["_key", "event", "list_id", "campaign_id", "_time", "ip", "url"]
    numbered = frame.with_columns(
        pl.int_range(pl.len()).over(same).alias("_ordinal"),
        pl.from_epoch("_time", time_unit="ms").dt.strftime("%Y-%m-%d %H:%M:%S").alias("_date"),
    )
    names = tuple(SCHEMAS[CM_ACTIVITY])
    for piece in numbered.iter_slices(50_000):
        for row in piece.iter_rows(named=True):
            values = {name: row[name] for name in names if row[name] is not None}
            if "custom_fields" in values:
                values["custom_fields"] = {entry["k"]: entry["v"] for entry in values["custom_fields"]}
            event = Event(CM_ACTIVITY, row["_key"], row["_time"], _identity(row), values)
            yield row["_received"], event


def _identity(row: dict[str, Any]) -> tuple[object, ...]:
    key, list_id, date = row["_key"], row["list_id"], row["_date"]
    match row["event"]:
        case "sent":
            return "sent", row["campaign_id"], list_id, key
        case "deactivate":
            return "deactivate", list_id, key, row["status"], date[:16]
        case "subscribe":
            fields = [(entry["k"], entry["v"]) for entry in row["custom_fields"] or ()]
            return "subscribe", list_id, key, "", date[:16], "Active", row["name"] or "", fields
        case word:
            same = date, row["ip"] or "", row["url"] or ""
            return word, row["campaign_id"], list_id, key, *same, row["_ordinal"]


def generate(workload: Workload) -> pl.DataFrame:
    """The events in the order in which they come in, with the columns of `frames.columns`."""
    world = _World(workload)
    sent = world.sent()
    opened = world.opened(sent)
    parts = [sent, opened, world.clicked(opened), world.left(), world.joined()]
    laid_out = pl.concat([world.described(part) for part in parts], how="diagonal_relaxed")
    received = (pl.col("_time") // DAY_MS + 1) * DAY_MS + IMPORT_AT_MS
    wanted = columns(CM_ACTIVITY)
    missing = [
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in wanted.items()
        if name not in (*laid_out.columns, "_received")
    ]
    return (
        laid_out.with_columns(received.alias("_received"), *missing)
        .with_columns(_uniform(pl.int_range(pl.len()), workload.seed, 99).alias("_u"))
        .sort("_received", "event", "_u")
        .select(pl.col(name).cast(dtype) for name, dtype in wanted.items())
    )


def _uniform(index: pl.Expr, seed: int, stream: int) -> pl.Expr:
    """A number in [0, 1) for each index: SplitMix64, so that it doesn't hang on any library's version."""

    def word(value: int) -> pl.Expr:
        return pl.lit(value % (1 << 64), dtype=pl.UInt64)

    start = (seed * 1_000_003 + stream) * 0xD1342543DE82EF95
    mixed = index.cast(pl.UInt64) * word(0x9E3779B97F4A7C15) + word(start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed // word(1 << shift))) * word(factor)
    mixed = mixed ^ (mixed // word(1 << 31))
    return (mixed // word(1 << 11)).cast(pl.Float64) / float(1 << 53)


class _World:
    """The people, campaigns, links and places of one workload, and the events that they make."""

    def __init__(self, workload: Workload) -> None:
        self._random = random.Random(workload.seed)
        self._seed = workload.seed
        self._stream = 0
        each = max(LISTS, round(workload.events * SHARES["sent"] / workload.people))
        self._campaign_count = max(CAMPAIGNS, 3 * each)
        self._counts = {word: round(workload.events * share) for word, share in SHARES.items()}
        self._counts["sent"] += workload.events - sum(self._counts.values())
        self.people = self._people(workload.people)
        self.lists = self._lists()
        self.campaigns = self._campaigns()
        self.links = self._links()
        self.places = self._places()
        self._client = {"client_id": self._id(), "client_name": "Acme Ünlimited"}

    def sent(self) -> pl.DataFrame:
        """One row for each campaign that somebody got: a weighted choice without repetition."""
        weight = pl.col("reach") * (1 + 0.2 * (pl.col("campaign") % 3))
        pairs = self.people.select("person", "reach", "list").join(
            self.campaigns.select("campaign", "sent_at"), how="cross"
        )
        ranked = pairs.select("person", "campaign", "list", (-self._u().log() / weight).alias("rank"))
        chosen = ranked.bottom_k(self._counts["sent"], by="rank").sort("person", "campaign")
        timed = chosen.join(
            self.campaigns.select("campaign", "sent_at"), on="campaign", maintain_order="left"
        )
        return timed.select(
            "person", "campaign", "list", pl.col("sent_at").alias("_time"), event=pl.lit("sent")
        )

    def opened(self, sent: pl.DataFrame) -> pl.DataFrame:
        """Opens of what was sent, more of those who are engaged."""
        rows = self._weighted(self._with(sent, "engagement"), "engagement", self._counts["open"])
        later = (-self._u().log() * 14 * 60).cast(pl.Int64) * MINUTE_MS
        return self._placed(rows.with_columns(pl.col("_time") + later, event=pl.lit("open")))

    def clicked(self, opened: pl.DataFrame) -> pl.DataFrame:
        """Clicks after opens, four in ten in the same minute."""
        known = opened.select("person", "campaign", "list", "_time", "engagement")
        rows = self._weighted(known, "engagement", self._counts["click"])
        later = pl.max_horizontal(self._u() * 5 - 2, pl.lit(0.0)).ceil().cast(pl.Int64) * MINUTE_MS
        link = (self._u() ** 2 * 12).floor().cast(pl.Int64) + pl.col("campaign") * 12
        placed = self._placed(rows.with_columns(pl.col("_time") + later, link=link, event=pl.lit("click")))
        return placed.join(self.links, on="link", maintain_order="left")

    def left(self) -> pl.DataFrame:
        """Unsubscribes, bounces, spam complaints and deletions, most with the campaign that caused them."""
        u = pl.col("u")
        words = pl.when(u < 0.6).then(pl.lit("unsubscribe")).when(u < 0.85).then(pl.lit("bounce"))
        state = {"unsubscribe": "Unsubscribed", "bounce": "Bounced", "spam": "Spam", "delete": "Deleted"}
        rows = (
            self._of_people("deactivate")
            .with_columns(u=self._u())
            .with_columns(
                status=words.when(u < 0.95).then(pl.lit("spam")).otherwise(pl.lit("delete")),
                campaign=pl.when(self._u() < 0.7).then((self._u() * self._campaign_count).cast(pl.Int64)),
            )
        )
        named = pl.col("status").replace_strict(state, return_dtype=pl.String).alias("state")
        return rows.with_columns(named, event=pl.lit("deactivate"))

    def joined(self) -> pl.DataFrame:
        """Subscribes as webhooks tell them; one in five is the echo of a write of our own."""
        plan = pl.when(self._u() < 0.5).then(pl.lit("gold")).otherwise(pl.lit("basic"))
        fields = pl.concat_list(pl.struct(k=pl.lit("plan"), v=plan))
        return self._of_people("subscribe").with_columns(
            name=pl.format("Person {}", "person"),
            state=pl.lit("Active"),
            custom_fields=fields,
            origin=pl.when(self._u() < 0.2).then(pl.lit("self")),
            event=pl.lit("subscribe"),
        )

    def described(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with every name and id that the importer knows."""
        told = self._with(rows, "email", "_key").join(self.lists, on="list", maintain_order="left")
        if "campaign" in rows.columns:
            names = self.campaigns.drop("sent_at")
            told = told.join(names, on="campaign", how="left", maintain_order="left")
        client = [pl.lit(value).alias(name) for name, value in self._client.items()]
        wanted = columns(CM_ACTIVITY)
        return told.with_columns(client).select(
            name for name in wanted if name in (*told.columns, *self._client)
        )

    def _of_people(self, word: str) -> pl.DataFrame:
        """So many rows of random people in random lists at random times, no two alike."""
        count = self._counts[word]
        number = pl.int_range(count, eager=True).alias("number").to_frame()
        return number.select(
            person=(self._u() * self.people.height).cast(pl.Int64),
            list=(self._u() * LISTS).cast(pl.Int64),
            # The minute's remainder by the count is the row's number: no two are one event.
            _time=START_MS
            + (self._u() * SPAN_MS / MINUTE_MS / count).cast(pl.Int64) * count * MINUTE_MS
            + pl.col("number") * MINUTE_MS,
        )

    def _weighted(self, rows: pl.DataFrame, weight: str, count: int) -> pl.DataFrame:
        """`count` of the rows, with repetition, each with a chance by its weight."""
        summed = rows[weight].cum_sum()
        wanted = pl.int_range(count, eager=True).alias("n").to_frame().select(self._u())
        at = summed.search_sorted(wanted.to_series() * summed[-1]).clip(0, rows.height - 1)
        return rows.select(pl.all().gather(at))

    def _placed(self, rows: pl.DataFrame) -> pl.DataFrame:
        home = self._with(rows, "home", "ip")
        away, hidden = self._u(), self._u()
        place = pl.when(away < 0.92).then("home").otherwise((self._u() * CITIES).cast(pl.Int64))
        told = home.with_columns(place.alias("place"), hidden.alias("hidden"))
        looked_up = told.join(self.places, on="place", maintain_order="left")
        fine, coarse = ("city", "region", "latitude", "longitude"), ("cc", "country")
        return looked_up.with_columns(
            *(pl.when(pl.col("hidden") >= 0.08).then(pl.col(name)) for name in fine),
            *(pl.when(pl.col("hidden") >= 0.02).then(pl.col(name)) for name in coarse),
        )

    def _with(self, rows: pl.DataFrame, *names: str) -> pl.DataFrame:
        return rows.join(self.people.select("person", *names), on="person", maintain_order="left")

    def _u(self) -> pl.Expr:
        """A new column of uniform numbers, each row its own."""
        self._stream += 1
        return _uniform(pl.int_range(pl.len()), self._seed, self._stream)

    def _normal(self) -> pl.Expr:
        radius = (-2 * (1 - self._u()).log()).sqrt()
        return radius * (2 * 3.141592653589793 * self._u()).cos()

    def _id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def _people(self, count: int) -> pl.DataFrame:
        domains = [*(["gmail.com"] * 8), *(["outlook.com"] * 4), *(f"company{n}.example" for n in range(40))]
        domain = pl.lit(pl.Series(domains)).gather((self._u() * len(domains)).cast(pl.Int64))
        key = pl.format("person.{}@{}", "person", domain)
        number = pl.int_range(count, dtype=pl.Int64, eager=True).alias("person").to_frame()
        return number.with_columns(
            _key=key,
            reach=(self._normal() * 0.6).exp(),
            engagement=(self._normal() * 1.6).exp(),
            list=(self._u() ** 1.5 * LISTS).cast(pl.Int64),
            home=(self._u() ** 2 * CITIES).cast(pl.Int64),
            ip=pl.format("81.{}.{}.7", pl.col("person") // 256 % 256, pl.col("person") % 256),
            odd=self._u(),
        ).with_columns(
            # Some addresses have capitals in them; the key never has.
            email=pl.when(pl.col("odd") < 0.03)
            .then(pl.col("_key").str.replace("person", "Person", literal=True))
            .otherwise("_key")
        )

    def _lists(self) -> pl.DataFrame:
        names = ["Newsletter", "Offers", "Events & más", "Product news", "Members"]
        return pl.DataFrame(
            {"list": range(LISTS), "list_id": [self._id() for _ in names], "list_name": names}
        )

    def _campaigns(self) -> pl.DataFrame:
        count = self._campaign_count
        return pl.DataFrame(
            {
                "campaign": range(count),
                "campaign_id": [self._id() for _ in range(count)],
                "campaign_name": [f"Campaign {n}: {'Sale' if n % 2 else 'Nouveautés'}" for n in range(count)],
                "sent_at": [START_MS + n * (SPAN_MS // count // DAY_MS * DAY_MS) for n in range(count)],
            }
        )

    def _links(self) -> pl.DataFrame:
        """Twelve links for each campaign; a page that several link to differs in its query only."""
        urls = []
        for campaign in range(self._campaign_count):
            for n in range(12):
                page = self._random.choice(("products", "blog", "offers/Été 2024", "über-uns", "events"))
                path = f"{page}/{self._random.randrange(30)}".replace(" ", "%20")
                query = f"utm_source=campaignmonitor&utm_campaign=c{campaign}&utm_content=link{n}"
                urls.append(f"https://www.acme.example/{path}?{query}" + ("#top" if n == 5 else ""))
        return pl.DataFrame({"link": range(len(urls)), "url": urls})

    def _places(self) -> pl.DataFrame:
        countries = [
            ("US", "United States"),
            ("GB", "United Kingdom"),
            ("AU", "Australia"),
            ("DE", "Germany"),
        ]
        chosen = [countries[min(3, int(self._random.expovariate(1.2)))] for _ in range(CITIES)]
        return pl.DataFrame(
            {
                "place": range(CITIES),
                "city": [f"City {n}" for n in range(CITIES)],
                "region": [f"Region {n % 60}" for n in range(CITIES)],
                "latitude": [round(self._random.uniform(-50, 60), 4) for _ in range(CITIES)],
                "longitude": [round(self._random.uniform(-180, 180), 4) for _ in range(CITIES)],
                "cc": [code for code, _ in chosen],
                "country": [name for _, name in chosen],
            }
        )


def job(events: int, people: int, seed: int, lines: bool) -> Callable[[], dict[str, Any]]:
    """Prepare the files in a process of its own, so that the one that measures stays small."""

    def work() -> dict[str, Any]:
        prepare(Workload(events, people, seed), lines=lines)
        return {}

    return work
