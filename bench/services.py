"""What the history of services costs: 8 days of samples, two checks each, asked for at 5 minutes, drawn by a browser.

Of 40 services there is every sample that eight days make, of 1,000 every sum of five minutes, which is what the history
is read from. A browser takes the answer apart and draws the charts of the first hundred, as many as the page shows;
layout and painting are not in its figure. A few minutes: most go into making the samples. It used to draw a thousand
charts, of an answer that the server cut off after 10 s where the machine had other work, and ended there.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import httpx
import psycopg

from bench import ground
from bench.report import Column, Table, tell

ROUNDS = {40: 7, 1000: 3}  # by services: of a thousand an answer is 29 MB, and takes seconds
SERVICES = """
    INSERT INTO services (node, id, name, address, port, status, checks, last_seen, first_seen)
    SELECT 'n' || mod(n, 10), 's' || n, 'service-' || n, '192.0.2.1', 80, 'passing',
           '[{"id": "a", "name": "ping", "status": "passing"}, {"id": "b", "name": "disk", "status": "passing"}]',
           now(), now() - interval '8 days'
      FROM generate_series(1, %s) AS n
"""
CHECKS = """
    INSERT INTO health_checks (service, check_name, status, "timestamp")
    SELECT s.number, c, CASE WHEN extract(hour FROM t) = 3 THEN 'critical' ELSE 'passing' END, t
      FROM generate_series(now() - %s * interval '1 day', now(), interval '1 minute') AS t, services AS s,
           unnest(ARRAY['ping', 'disk']) AS c
"""
SLOTS = """
    INSERT INTO stability.service_slots (slot, service, passing, critical, samples)
    SELECT t, s.number, CASE WHEN bad THEN 200000 ELSE 300000 END, CASE WHEN bad THEN 100000 ELSE 0 END, 5
      FROM generate_series(stability.service_slot(now() - interval '8 days'), now(), interval '5 minutes') AS t,
           services AS s, LATERAL (SELECT (extract(epoch FROM t)::bigint / 300 + s.number) % 7 = 0) AS b (bad)
"""
HISTORY = "SELECT sum(length(data)) FROM stability.service_history(%s, '3 minutes')"
CHARTS = 100
DRAW = """async (charts) => {
    const { Bars, Pointer } = await import("/bars.js");
    const { parseHistories } = await import("/service-history.js");
    const answer = await fetch("/api/services/history?granularity=5");
    if (!answer.ok) return null;
    const text = await answer.text();
    const began = performance.now();
    const { length, services } = parseHistories(text);
    const pointer = new Pointer(() => {});
    for (const [key, slots] of [...services].slice(0, charts)) {
        const bars = new Bars(pointer);
        bars.show(key, { slots, length, now: Date.now(), skew: 0 });
        bars.see(true);
    }
    return performance.now() - began;
}"""


def run(port: int) -> None:
    """Print milliseconds of the query, of the answer, of a sample and of the charts."""
    columns = [
        Column("query at 5 min, ms"), Column("query at 15 min, ms"), Column("answer at 5 min, ms"),
        Column("one sample of all, ms"), Column("one change, ms"), Column("script of the charts, ms"),
    ]  # fmt: skip
    rows = {}
    for services, days in ((40, 8), (1000, 0)):
        began = time.monotonic()
        rows[f"{services:,} services"] = _measured(port, services, days)
        print(f"{services:,} services: measured within {time.monotonic() - began:.0f} s", flush=True)
    tell(Table("Services over 24 hours", columns, rows), ground.machine())


def _measured(port: int, services: int, days: int) -> list[float | None]:
    from stability.schema.migration import migrate  # noqa: PLC0415 -- with Alembic, which no other part needs

    with ground.database() as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        migrate(dsn, lambda _line: None)
        owner.execute("SELECT stability.record_services('[]', '{}', true, 'bench', '3 minutes')")
        owner.execute(SERVICES, (services,))
        owner.execute(CHECKS, (days,))
        owner.execute(SLOTS)
        owner.execute("VACUUM ANALYZE")
        with ground.server("serve", port, DATABASE_URL=dsn) as (url, _):
            address = f"{url}/api/services/history?granularity=5"
            acts: Sequence[Callable[[], object]] = (
                lambda: owner.execute(HISTORY, (5,)),
                lambda: owner.execute(HISTORY, (15,)),
                lambda: httpx.get(address, timeout=30).raise_for_status(),
                lambda: owner.execute("SELECT stability.sample_services('bench', '3 minutes')"),
                lambda: _change(owner),
            )
            return [*(_timed(act, ROUNDS[services]) for act in acts), _drawn(url)]


def _timed(act: Callable[[], object], rounds: int) -> float:
    """Milliseconds, the median of so many rounds after a first one."""
    act()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


def _change(owner: psycopg.Connection[Any]) -> None:
    status = "critical" if time.perf_counter_ns() % 2 else "passing"
    told = (
        '[{"node": "n1", "id": "s1", "name": "service-1", "address": "192.0.2.1", "port": 80, "tags": [], "meta": {},'
        f' "checks": [{{"id": "a", "name": "ping", "status": "{status}"}}]}}]'
    )
    owner.execute("SELECT stability.record_services(%s, '{}', false, 'bench', '3 minutes')", (told,))


def _drawn(url: str) -> float | None:
    """Milliseconds that a fresh page's script takes for the charts; None without a browser, or an answer in time."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- only here

    program = shutil.which("chromium")
    if program is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        times = []
        for _ in range(5):
            page = browser.new_page()
            page.goto(f"{url}/livez")
            times.append(page.evaluate(DRAW, CHARTS))
            page.close()
        browser.close()
    found = [float(each) for each in times if each is not None]
    return median(found) if found else None
