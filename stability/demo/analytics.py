"""The analytics: what a task computes over the imported rows, and putting the tasks of a run into the queue.

Every figure is exact and follows rules that a reader of the file can repeat: an empty field is no value, texts are
compared code point by code point, and a number is a decimal numeral of at most 30 digits before and after its point.
"""

from typing import Any, Final, LiteralString

from psycopg import Connection, sql

from stability.demo import ledger
from stability.demo.host import Host
from stability.demo.layout import Layout
from stability.demo.ledger import Run, data_of

PROFILE_COLUMNS: Final = "demo_profile_columns"
PROFILE_ROWS: Final = "demo_profile_rows"
QUEUE: Final = "analytics"
NUMERAL: Final = r"^[+-]?[0-9]{1,30}(\.[0-9]{1,30})?$"

_REGISTERED: LiteralString = "SELECT FROM worker.command_registry AS r WHERE r.command::text = %s"

# OFFSET 0 keeps the planner from writing the cast, which is dear, once into each aggregate.
_COLUMNS: LiteralString = """
    INSERT INTO stability_demo.column_profile
    SELECT {run}, f.field, r.header[f.field], coalesce(p.filled, 0), coalesce(p.distinct_values, 0),
           p.lowest, p.highest, coalesce(p.numbers, 0), p.total, p.smallest, p.largest
      FROM stability_demo.run AS r
     CROSS JOIN generate_series({first}, {last}) AS f (field)
      LEFT JOIN (
        SELECT n.field, count(n.value) AS filled, count(DISTINCT n.value COLLATE "C") AS distinct_values,
               min(n.value COLLATE "C") AS lowest, max(n.value COLLATE "C") AS highest,
               count(n.number) AS numbers, sum(n.number) AS total,
               min(n.number) AS smallest, max(n.number) AS largest
          FROM (SELECT cell.field, cell.value, CASE WHEN cell.value ~ {numeral} THEN cell.value::numeric END AS number
                  FROM {data} CROSS JOIN LATERAL {cells} OFFSET 0) AS n
         GROUP BY n.field
      ) AS p ON p.field = f.field
     WHERE r.id = {run}
"""
_ROWS: LiteralString = """
    INSERT INTO stability_demo.row_profile
    SELECT {run}, count(*), coalesce(sum(filled), 0), min(filled), max(filled)
      FROM (SELECT {filled} AS filled FROM {data} OFFSET 0) AS d
"""


def register(connection: Connection[Any], host: Host) -> None:
    """Let the queue know our commands; one that is there already stays as it is."""
    with ledger.alone(connection):
        for command in (PROFILE_COLUMNS, PROFILE_ROWS):
            if connection.execute(_REGISTERED, (command,)).fetchone() is None:
                values = {"command": command, "queue": QUEUE}
                connection.execute(host.registry.insertion(values), values)
                connection.execute(
                    "INSERT INTO stability_demo.registered VALUES (%s) ON CONFLICT DO NOTHING", (command,)
                )


def profile_columns(run: int, width: int, first: int, last: int) -> sql.Composed:
    """The statement that stores the profile of the fields `first` to `last`, counted from 1."""
    return sql.SQL(_COLUMNS).format(
        run=sql.Literal(run),
        first=sql.Literal(first),
        last=sql.Literal(last),
        numeral=sql.Literal(NUMERAL),
        data=data_of(run),
        cells=Layout(width).cells(range(first, last + 1)),
    )


def profile_rows(run: int, width: int) -> sql.Composed:
    """The statement that stores how full the rows are."""
    return sql.SQL(_ROWS).format(run=sql.Literal(run), filled=Layout(width).filled(), data=data_of(run))


def enqueue(connection: Connection[Any], host: Host, run: Run, width: int) -> int:
    """Put the run's tasks into the queue and return how many they are."""
    _add(connection, host, run, PROFILE_ROWS, range(1, width + 1))
    groups = Layout(width).groups()
    for group in groups:
        _add(connection, host, run, PROFILE_COLUMNS, group)
    return 1 + len(groups)


def _add(connection: Connection[Any], host: Host, run: Run, command: str, fields: range) -> None:
    values = {"command": command, "state": host.task.pending}
    statement = sql.SQL(
        "WITH t AS ({} RETURNING id)"
        " INSERT INTO stability_demo.work (task, run, first_field, last_field)"
        " SELECT id, %(run)s, %(first)s, %(last)s FROM t"
    ).format(host.tasks.insertion(values))
    connection.execute(statement, {**values, "run": run.id, "first": fields.start, "last": fields.stop - 1})
