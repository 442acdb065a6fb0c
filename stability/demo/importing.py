"""Importing a file: counted and validated whole, then loaded in batches that are committed with their progress."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from psycopg import Connection, sql

from stability.demo.csvfile import CsvFile
from stability.demo.layout import Layout
from stability.demo.ledger import Run
from stability.errors import StabilityError

BATCH_ROWS: Final = 5_000  # committed together with the progress that they mean
BATCH_CHARACTERS: Final = 1 << 20  # a batch of wide rows ends here, so that memory stays flat

# Postgres's text format: in its CSV a line `\.` inside a quoted field ends the data before version 18
_SPECIAL: Final = re.compile(r"[\\\t\n\r]")
_ESCAPED: Final = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}

Advance = Callable[[int], None]


class ChangedFileError(StabilityError):
    """The file is no longer what was analysed."""


def analyse(file: CsvFile, read: Advance) -> int:
    """The number of rows; `read` is told of bytes as they pass. Raises MalformedFileError at the first bad record."""
    return sum(1 for _ in file.rows(read))


def load(connection: Connection[Any], run: Run, file: CsvFile, total: int, loaded: Advance) -> None:
    """Copy the rows into the run's table; `loaded` is told of rows as they are committed.

    Raises ChangedFileError or MalformedFileError when the file is no longer what was analysed.
    """
    layout = Layout(len(file.header))
    connection.execute(layout.create(run.data))
    statement = sql.SQL("COPY {} FROM STDIN (NULL '')").format(run.data)
    imported = 0
    for rows, text in _batches(file, layout):
        if imported + rows > total:
            raise ChangedFileError(f"the file grew beyond {total:,} rows while it was imported")
        with connection.transaction():
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(text)
            imported += rows
            run.job.move("importing_data", imported_rows=imported)
        loaded(rows)
    if imported < total:
        raise ChangedFileError(f"the file shrank from {total:,} to {imported:,} rows while it was imported")


def _batches(file: CsvFile, layout: Layout) -> Iterator[tuple[int, str]]:
    text, rows = io.StringIO(), 0
    for line, fields in file.rows():
        text.write(_copied(layout.encode(line, fields)))
        rows += 1
        if rows == BATCH_ROWS or text.tell() >= BATCH_CHARACTERS:
            yield rows, text.getvalue()
            text.seek(0)
            text.truncate()
            rows = 0
    if rows:
        yield rows, text.getvalue()


def _copied(fields: Sequence[str]) -> str:
    record = "\0".join(fields)  # no field holds a NUL, as no text in Postgres can
    if _SPECIAL.search(record):
        record = _SPECIAL.sub(lambda special: _ESCAPED[special[0]], record)
    return record.replace("\0", "\t") + "\n"
