"""DuckDB: SQL on one thread, with its own aggregates for maps, sets and latest values.

The URL function is Python's, called once for each distinct URL and joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.aggregation.engines import READ
from bench.aggregation.engines.python_engine import LATEST, SETS, hashed_page

_NUMBERS: Final = frozenset(("_time", "_received"))

_LATEST: Final = ",\n  ".join(
    f"arg_max({source}, (_time, _received, {source})) FILTER (WHERE {source} IS NOT NULL) AS {name}"
    for name, source in LATEST.items()
)
_SETS: Final = ",\n  ".join(
    f"list(DISTINCT {source}) FILTER (WHERE {source} IS NOT NULL) AS {name}" for name, source in SETS.items()
)
_URLS: Final = "SELECT DISTINCT url FROM events WHERE url IS NOT NULL"
_PAGES: Final = """
CREATE TEMP TABLE pages AS SELECT unnest($urls::VARCHAR[]) AS page_url, unnest($hashes::VARCHAR[]) AS hashed
"""
_REPORT: Final = f"""
CREATE TEMP TABLE report AS
SELECT
  _key,
  any_value(_key) AS email,
  any_value(split_part(_key, '@', 2)) AS email_domain,
  {_LATEST},
  count(*) FILTER (WHERE event = 'click') AS cm_clickct,
  count(*) FILTER (WHERE event = 'open') AS cm_openct,
  count(*) FILTER (WHERE event = 'sent') AS cm_sendct,
  min(_time) FILTER (WHERE event = 'click') AS cm_firstclick_ts,
  min(_time) FILTER (WHERE event = 'open') AS cm_firstopen_ts,
  max(_time) FILTER (WHERE event = 'click') AS cm_lastclick_ts,
  max(_time) FILTER (WHERE event = 'open') AS cm_lastopen_ts,
  max(_time) FILTER (WHERE event = 'deactivate' AND status = 'unsubscribe') AS cm_unsub_ts,
  max(_time) FILTER (WHERE active) AS last_active_ts,
  CASE WHEN bool_or(active) THEN ['email'] END AS channels,
  {_SETS},
  histogram(event) AS cm_email_event,
  histogram(hashed) FILTER (WHERE event IN ('open', 'click')) AS hashedurls,
  histogram(_time // 3600000 % 24) FILTER (WHERE event = 'open') AS cm_hourlyopen,
  histogram((_time // 3600000 + 96) % 168) FILTER (WHERE event = 'open') AS cm_hourofweek,
  histogram(strftime(make_timestamp(_time * 1000), '%y%m')) FILTER (WHERE event = 'open') AS cm_monthly
FROM (
  SELECT *, event IN ('open', 'click', 'subscribe') AND origin IS DISTINCT FROM 'self' AS active FROM events
)
LEFT JOIN pages ON url = page_url
GROUP BY _key
"""

Result = duckdb.DuckDBPyConnection


def _from_columns(path: Path) -> Result:
    return _report(f"SELECT {', '.join(READ)} FROM read_parquet('{path}')")


def _from_lines(path: Path) -> Result:
    kinds = {name: "BIGINT" if name in _NUMBERS else "VARCHAR" for name in (*READ, "email")}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items())
    read = f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
    return _report(f"SELECT * REPLACE (coalesce(_key, email) AS _key) FROM {read}")


def _report(source: str) -> Result:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"CREATE TEMP TABLE events AS {source}")
    urls = [url for (url,) in connection.execute(_URLS).fetchall()]
    hashes = [hashed_page(url) for url in urls]
    connection.execute(_PAGES, {"urls": urls, "hashes": hashes})
    connection.execute(_REPORT)
    return connection


def people(result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
    cursor = result.execute("FROM report")
    names = [each[0] for each in cursor.description or ()]
    while rows := cursor.fetchmany(5_000):
        for row in rows:
            fields = dict(zip(names, row, strict=True))
            for name in ("cm_hourlyopen", "cm_hourofweek"):
                fields[name] = {str(hour): count for hour, count in (fields[name] or {}).items()}
            yield fields.pop("_key"), fields


RUNS: Final = {"columns": _from_columns, "json": _from_lines}
