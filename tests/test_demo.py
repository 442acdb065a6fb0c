"""The demo imports any CSV file and computes over it exactly, and every step is there for others to see."""

import csv
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal, localcontext
from itertools import groupby
from pathlib import Path
from random import Random
from re import compile as pattern
from string import ascii_letters
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from stability.demo.carrying import carry_out, clean
from stability.demo.orders import make
from stability.demo.plan import Plan
from stability.errors import DatabaseError, SettingError
from tests.fixtures.demo import DemoDatabase

Write = Callable[[str | bytes], Path]

NUMERAL = pattern(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
PROFILE = """
    SELECT name, filled, distinct_values, lowest, highest, numbers, total, smallest, largest
      FROM stability_demo.column_profile WHERE run = %s ORDER BY field
"""
ROW_PROFILE = "SELECT rows, filled, fewest, most FROM stability_demo.row_profile WHERE run = %s"


def made(path: Path, rows: int, columns: int) -> Path:
    make(path, rows, columns, 3, lambda _rows: None)
    return path


def rows_of(path: Path) -> list[list[str]]:
    csv.field_size_limit(1 << 24)
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [record for record in csv.reader(file) if record]


def expected_columns(path: Path) -> list[tuple[object, ...]]:
    """The column profiles, computed from the file without the database."""
    header, *rows = rows_of(path)
    return [expected_column(name, [row[i] for row in rows if row[i]]) for i, name in enumerate(header)]


def expected_column(name: str, values: list[str]) -> tuple[object, ...]:
    numbers = [Decimal(value) for value in values if NUMERAL.fullmatch(value)]
    return (
        name,
        len(values),
        len(set(values)),
        min(values, default=None),
        max(values, default=None),
        len(numbers),
        exact_sum(numbers) if numbers else None,
        min(numbers, default=None),
        max(numbers, default=None),
    )


def exact_sum(numbers: list[Decimal]) -> Decimal:
    with localcontext(prec=200):
        return sum(numbers, Decimal())


def expected_rows(path: Path) -> tuple[object, ...]:
    filled = [sum(map(bool, row)) for row in rows_of(path)[1:]]
    return len(filled), sum(filled), min(filled, default=None), max(filled, default=None)


def check_results(demo: DemoDatabase, number: int, path: Path) -> None:
    assert demo.all(PROFILE, number) == expected_columns(path)
    assert demo.all(ROW_PROFILE, number) == [expected_rows(path)]


@pytest.mark.parametrize(
    ("rows", "columns"), [(100_000, 8), (500, 1), (100, 320), (100, 321), (300, 1_700), (20, 5_000)]
)
def test_results_equal_an_independent_computation(demo: DemoDatabase, tmp_path: Path, rows: int, columns: int) -> None:
    """Whatever its width, a file is imported whole, and each figure is what csv, set and Decimal say of it."""
    path = made(tmp_path / "orders.csv", rows, columns)
    outcome, _ = demo.run(path)
    assert (outcome.state, outcome.rows, outcome.exit_status) == ("finished", rows, 0)
    check_results(demo, outcome.run, path)
    assert demo.stable


@pytest.mark.parametrize("length", [23, 24, 5_000])
@pytest.mark.parametrize("columns", [320, 321])
def test_a_row_fits_its_page_however_long_its_texts(
    demo: DemoDatabase, written: Write, columns: int, length: int
) -> None:
    """The widest table takes texts of the worst length: 23 bytes are too short to move out of the row."""
    header = ",".join(f"c{i}" for i in range(columns))
    row = ",".join(random_text(i, length) for i in range(columns))
    path = written(f"{header}\n{row}\n")
    outcome, said = demo.run(path)
    assert outcome.state == "finished", said
    check_results(demo, outcome.run, path)


def random_text(seed: int, length: int) -> str:
    return "".join(Random(seed).choices(ascii_letters, k=length))


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
NUMERALS = st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda number: f"{number:f}")
AWKWARD = st.sampled_from(
    [
        "",
        "\\.",
        "\\N",
        "NULL",
        '"',
        "{}",
        "a\n\\.\nb",
        "\r\n",
        "\t",
        "١٢",
        "+1",
        "-0.0",
        "9" * 31,
        f"{'9' * 30}.{'9' * 30}",
    ]
)
FIELDS = st.one_of(TEXTS, NUMERALS, AWKWARD)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), padding=st.sampled_from([0, 400]))
def test_any_text_survives_the_import(demo: DemoDatabase, tmp_path: Path, data: st.DataObject, padding: int) -> None:
    """Quotes, line ends, backslashes, braces and numerals of every script arrive as they were written."""
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=12))
    path = tmp_path / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow([f"column {i}" for i in range(width + padding)])
        writer.writerows([*row, *[""] * padding] for row in rows)
    outcome, said = demo.run(path, workers=1)
    assert outcome.state == "finished", said
    check_results(demo, outcome.run, path)


def test_each_step_is_seen_from_outside(demo: DemoDatabase, large_file: Path) -> None:
    """Another connection sees the states of the contract, rows as they are committed, and no stable moment between."""
    seen: list[tuple[Any, ...]] = []
    with demo.running(large_file) as process:
        while process.poll() is None:
            seen += demo.all(
                "SELECT public.is_system_stable(), j.state::text, j.total_rows, j.imported_rows,"
                " (SELECT count(*) FROM worker.tasks WHERE state = 'completed')"
                " FROM (SELECT) AS always LEFT JOIN public.import_job AS j ON true"
            )
        assert process.returncode == 0, process.stdout and process.stdout.read()
    seen += demo.all("SELECT public.is_system_stable(), 'after', 0, 0, 0")
    assert [stable for stable, _ in groupby(row[0] for row in seen)] == [True, False, True]
    states = [state for state, _ in groupby(row[1] for row in seen if row[1])]
    assert [state for state in states if state in {"analysing_data", "importing_data", "finished"}] == [
        "analysing_data",
        "importing_data",
        "finished",
    ]
    progress = [imported for _, state, total, imported, _ in seen if state == "importing_data" and total == 200_000]
    assert progress == sorted(progress)
    assert len({imported for imported in progress if 0 < imported < 200_000}) > 5
    assert len({completed for *_, completed in seen}) > 3


def test_makes_its_own_file_and_says_what_it_did(demo: DemoDatabase) -> None:
    """Without a file one is made first; a log file gets a line per phase and a table, no cursor moves."""
    outcome, said = demo.run(rows=1_000, columns=10)
    assert outcome.exit_status == 0
    assert [line.split()[0] for line in said.splitlines()[:4]] == ["made", "analysed", "imported", "computed"]
    assert "1,000 orders of 10 fields" in said
    assert "10 tasks" not in said.splitlines()[0]
    assert "measure_10" in said
    assert f"run {outcome.run}" in said
    assert "\x1b" not in said
    assert demo.one("SELECT count(*) FROM stability_demo.data_1") == 1_000


def test_the_same_seed_makes_the_same_file(tmp_path: Path) -> None:
    """A made file is realistic (quoted commas, line ends, empty fields, several scripts) and can be made again."""
    make(tmp_path / "one.csv", 500, 8, 5, lambda _rows: None)
    make(tmp_path / "two.csv", 500, 8, 5, lambda _rows: None)
    make(tmp_path / "three.csv", 500, 8, 6, lambda _rows: None)
    one, two, three = ((tmp_path / f"{name}.csv").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    fields = {field for row in rows_of(tmp_path / "one.csv") for field in row}
    assert all(any(sign in field for field in fields) for sign in (",", "\n", '"', "李", "🍮"))
    assert "" in fields


def test_a_terminal_gets_bars(demo: DemoDatabase, written: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal each phase has a bar; a value out of the file cannot send the terminal a command."""
    carry_out(demo.dsn, Plan(written("a\n\x1b[31mred\n")), console=Console(force_terminal=True, width=100))
    said = capsys.readouterr().out
    assert "━" in said
    assert all(phase in said for phase in ("analysing", "importing", "computing"))
    assert "·[31mred" in said
    assert "\x1b[31mred" not in said


def test_a_header_alone_is_an_empty_import(demo: DemoDatabase, written: Write) -> None:
    """No rows is no error: the import finishes, and each column is profiled as empty."""
    path = written("a,b\n")
    outcome, _ = demo.run(path)
    assert (outcome.state, outcome.rows) == ("finished", 0)
    check_results(demo, outcome.run, path)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (Plan(rows=0), "--rows: 0 is outside of 1 to"),
        (Plan(columns=5_001), "--columns: 5001 is outside of 1 to 5,000"),
        (Plan(workers=33), "--workers: 33 is outside of 1 to 32"),
        (Plan(Path("/no/such.csv")), "/no/such.csv: there is no such file"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_begins(demo: DemoDatabase, plan: Plan, told: str) -> None:
    """A number out of range or a missing file writes nothing to the database."""
    with pytest.raises(SettingError, match=told):
        carry_out(demo.dsn, plan, console=Console(quiet=True))
    assert demo.one("SELECT count(*) FROM public.import_job") == 0


def test_only_the_latest_rows_are_kept(demo: DemoDatabase) -> None:
    """Rows of old runs go, their results stay."""
    for _ in range(5):
        demo.run(rows=10)
    assert demo.data_tables == ["data_3", "data_4", "data_5"]
    assert demo.one("SELECT count(DISTINCT run) FROM stability_demo.column_profile") == 5


def test_clean_removes_what_demos_wrote_and_nothing_else(demo: DemoDatabase) -> None:
    """Jobs, tasks, commands and the schema of demos go; rows of others, and a command that others use as well, stay."""
    demo.run(rows=10)
    demo.do(
        "INSERT INTO public.import_job (slug, state) VALUES ('other', 'finished')",
        "INSERT INTO worker.command_registry VALUES ('other', 'maintenance')",
        "INSERT INTO worker.tasks (command, state) VALUES ('demo_profile_rows', 'completed'), ('other', 'pending')",
    )
    clean(demo.dsn)
    clean(demo.dsn)
    assert demo.all("SELECT slug FROM public.import_job") == [("other",)]
    assert demo.all("SELECT command FROM worker.tasks ORDER BY id") == [("demo_profile_rows",), ("other",)]
    assert demo.all("SELECT command FROM worker.command_registry ORDER BY 1") == [("demo_profile_rows",), ("other",)]
    assert demo.one("SELECT to_regnamespace('stability_demo')") is None
    assert demo.run(rows=10)[0].state == "finished"


def test_clean_needs_no_table_of_the_host(demo: DemoDatabase) -> None:
    """After an uninstallation that dropped the watched tables, what is left of demos can still be removed."""
    demo.run(rows=10)
    demo.do("DROP TABLE public.import_job", "DROP SCHEMA worker CASCADE")
    clean(demo.dsn)
    assert demo.one("SELECT to_regnamespace('stability_demo')") is None


def test_a_schema_of_somebody_else_is_refused(demo: DemoDatabase) -> None:
    """A schema of our name that the demo did not make is neither used nor dropped."""
    demo.do("CREATE SCHEMA stability_demo", "CREATE TABLE stability_demo.theirs ()")
    with pytest.raises(DatabaseError, match="schema stability_demo was not made by this version"):
        demo.run(rows=10)
    with pytest.raises(DatabaseError, match="schema stability_demo was not made by this version"):
        clean(demo.dsn)
    assert demo.one("SELECT to_regclass('stability_demo.theirs')") is not None


def peak_memory(demo: DemoDatabase, rows: int) -> int:
    program = (
        "import resource, sys; from rich.console import Console; from stability.demo.carrying import run\n"
        "run(sys.argv[1], rows=int(sys.argv[2]), console=Console(quiet=True))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    return int(subprocess.check_output([sys.executable, "-c", program, demo.dsn, str(rows)]))


def test_memory_does_not_grow_with_the_file(demo: DemoDatabase) -> None:
    """Twenty times the rows take the same memory, give or take 8 MiB."""
    small, large = peak_memory(demo, 10_000), peak_memory(demo, 200_000)
    assert (large - small) / 1024 < 8
