"""How the fields of a file lie in a table: a text column each, or, where Postgres has too few columns, in arrays.

An empty field is NULL. A row of n text columns fits its 8 kB page, however long its texts are, while n is at most 320:
23 bytes take 24 at most, and a longer text moves out of the row where it must. A table of 1,600 columns would refuse
such rows. Wider files keep their fields in text arrays of 64 or more. Either way each row knows the line it came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

WIDEST: Final = 320  # columns of a table that any row fits
PACK: Final = 64  # fields in an array; Postgres walks it from the start, so longer ones would be slow


@dataclass(frozen=True)
class Layout:
    """The table for a file of `width` columns."""

    width: int

    @property
    def pack(self) -> int:
        """Fields per column of the table: 1 is a plain text column, more is an array."""
        return 1 if self.width <= WIDEST else max(PACK, -(-self.width // WIDEST))

    def create(self, table: sql.Composable) -> sql.Composed:
        """The statement that makes the table."""
        kind = sql.SQL("text" if self.pack == 1 else "text[]")
        columns = sql.SQL(", ").join(sql.SQL("{} {}").format(name, kind) for name in self._columns())
        return sql.SQL("CREATE TABLE {} (line bigint NOT NULL, {})").format(table, columns)

    def encode(self, line: int, fields: Sequence[str]) -> Sequence[str]:
        """One row as texts for COPY; an empty one is NULL."""
        if self.pack == 1:
            return (str(line), *fields)
        return (str(line), *(_array(fields[i : i + self.pack]) for i in range(0, self.width, self.pack)))

    def groups(self, most: int = 32) -> list[range]:
        """The fields, from 1, in at most `most` groups or one per array: what one task looks at."""
        size = self.pack if self.pack > 1 else -(-self.width // most)
        return [range(start, min(start + size, self.width + 1)) for start in range(1, self.width + 1, size)]

    def cells(self, group: range) -> sql.Composed:
        """A FROM item `cell(field, value)` beside the table: one row for each field of `group`."""
        if self.pack > 1:
            array = self._column(group.start)
            offset = sql.Literal(group.start - 1)
            return sql.SQL(
                "(SELECT o + {}, v FROM unnest({}) WITH ORDINALITY AS u(v, o)) AS cell(field, value)"
            ).format(offset, array)
        pairs = sql.SQL(", ").join(sql.SQL("({}, {})").format(sql.Literal(i), self._column(i)) for i in group)
        return sql.SQL("(VALUES {}) AS cell(field, value)").format(pairs)

    def filled(self) -> sql.Composed:
        """An expression: how many fields of the row are not empty."""
        if self.pack == 1:
            return sql.SQL("num_nonnulls(VARIADIC ARRAY[{}])").format(sql.SQL(", ").join(self._columns()))
        return sql.SQL(" + ").join(
            sql.SQL("cardinality(array_remove({}, NULL))").format(column) for column in self._columns()
        )

    def _columns(self) -> list[sql.Identifier]:
        return [self._column(first) for first in range(1, self.width + 1, self.pack)]

    def _column(self, field: int) -> sql.Identifier:
        return sql.Identifier(f"c{field}" if self.pack == 1 else f"pack{(field - 1) // self.pack + 1}")


def _array(fields: Sequence[str]) -> str:
    return "{" + ",".join(map(_element, fields)) + "}"


def _element(field: str) -> str:
    if not field:
        return "NULL"
    escaped = field.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
