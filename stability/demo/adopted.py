"""A table that may be the host's own: which columns it has, what it demands, which states it knows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Connection, sql

from stability.errors import DatabaseError

_COLUMNS: LiteralString = """
    SELECT a.attname,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
           (SELECT array_agg(e.enumlabel::text) FROM pg_catalog.pg_enum e WHERE e.enumtypid = a.atttypid)
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
"""

_SPARE: Final[Mapping[str, sql.Composable]] = {
    "created_at": sql.SQL("now()"),
    "updated_at": sql.SQL("now()"),
    "scheduled_at": sql.SQL("now()"),
    "priority": sql.SQL("100"),
}


@dataclass(frozen=True)
class Table:
    """What may be written into a table that was here before us, or that `stability migrate` made."""

    name: str
    columns: frozenset[str]
    demanded: frozenset[str]
    """Columns that accept no row without a value."""
    labels: frozenset[str] | None
    """The states that `state` can hold, or None when it is a text."""

    @classmethod
    def read(cls, connection: Connection[Any], name: str, needs: Collection[str]) -> "Table":
        """Look at the table `name`; raises DatabaseError when it, or a column of `needs`, is missing."""
        found = connection.execute(_COLUMNS, (name,)).fetchall()
        if not found:
            raise DatabaseError(f"there is no table {name}; run `stability migrate` first")
        table = cls(
            name,
            frozenset(column for column, _, _ in found),
            frozenset(column for column, demanded, _ in found if demanded),
            next((frozenset(labels) for column, _, labels in found if column == "state" and labels), None),
        )
        missing = sorted(set(needs) - table.columns)
        if missing:
            raise DatabaseError(f"{name} has no column {missing[0]}, and the demo cannot do without")
        return table

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name for a statement."""
        return sql.Identifier(*self.name.split("."))

    def knows(self, state: str) -> bool:
        """Whether `state` can be stored."""
        return self.labels is None or state in self.labels

    def first_known(self, *states: str) -> str:
        """The first of `states` that can be stored; raises DatabaseError when none can."""
        for state in states:
            if self.knows(state):
                return state
        wanted = " or ".join(f"'{state}'" for state in states)
        raise DatabaseError(f"the states of {self.name} have no {wanted}, and the demo cannot do without")

    def fitting(self, values: Mapping[str, object]) -> dict[str, object]:
        """Those of `values` that the table has a column for."""
        return {column: value for column, value in values.items() if column in self.columns}

    def insertion(self, values: Mapping[str, object]) -> sql.Composed:
        """An INSERT with placeholders for `values`.

        Columns that demand a value and that every such table understands alike are filled in; raises DatabaseError
        when another demanded column is not among `values`.
        """
        filled: dict[str, sql.Composable] = {column: sql.Placeholder(column) for column in values}
        filled |= {
            column: spare for column, spare in _SPARE.items() if column in self.demanded and column not in values
        }
        unknown = sorted(self.demanded - filled.keys())
        if unknown:
            raise DatabaseError(
                f"{self.name} demands a {unknown[0]} that the demo cannot know; give the column a default"
            )
        return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            self.identifier,
            sql.SQL(", ").join(map(sql.Identifier, filled)),
            sql.SQL(", ").join(filled.values()),
        )

    def change(self, values: Mapping[str, object]) -> sql.Composed:
        """An UPDATE with placeholders for `values`, yet without its WHERE."""
        changes = (sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in values)
        return sql.SQL("UPDATE {} SET {}").format(self.identifier, sql.SQL(", ").join(changes))
