"""Reading a CSV file, strictly: every record is as wide as the header, or the file is malformed at a named line."""

import codecs
import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from stability.errors import SettingError, StabilityError

DELIMITERS: Final = ",;\t|"
FIELD_LIMIT: Final = 16 << 20  # characters in one field; a quote that is never closed ends here, not in swap
LINE_LIMIT: Final = 64 << 20  # bytes in one line
SAMPLE: Final = 64 << 10  # bytes that decide the delimiter
TOLD_EVERY: Final = 1 << 20  # bytes between two calls of `read`

_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class MalformedFileError(StabilityError):
    """The file is no CSV that can be taken as it is; `line` is where the offending record starts, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line:,}: {reason}")
        self.line = line
        self.reason = reason


def _nothing_to_tell(_amount: int) -> None:
    pass


@dataclass(frozen=True)
class CsvFile:
    """A CSV file in UTF-8 with one header record; delimiters `,` `;` tab `|`, line ends LF or CRLF, quotes doubled."""

    path: Path
    delimiter: str
    header: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> "CsvFile":
        """Decide the delimiter and read the header.

        Raises MalformedFileError, or SettingError when there is no such file.
        """
        require_file(path)
        with path.open("rb") as file:
            sample = file.read(SAMPLE)
        if sample.startswith(_UTF16):
            raise MalformedFileError(1, "the file is UTF-16; save it as UTF-8")
        delimiter = _sniff(sample.decode("utf-8-sig", errors="replace"))
        line, header = next(_records(path, delimiter), (1, []))
        return cls(path, delimiter, _checked_header(line, header))

    def rows(self, read: Callable[[int], None] = _nothing_to_tell) -> Iterator[tuple[int, list[str]]]:
        """Each record after the header with the line it starts on; `read` is told of bytes as they pass.

        Blank lines are skipped, as CSV writers mean them. Raises MalformedFileError at the first bad record.
        """
        width = len(self.header)
        for line, fields in islice(_records(self.path, self.delimiter, read), 1, None):
            if len(fields) != width:
                raise MalformedFileError(line, f"{_plural(len(fields), 'field')} where the header has {width:,}")
            yield line, fields


def require_file(path: Path) -> None:
    """Raise SettingError unless `path` is a file that can be read twice."""
    if not path.exists():
        raise SettingError(str(path), "there is no such file; give the path of a CSV file")
    if not path.is_file():
        raise SettingError(str(path), "this is no regular file, and an import reads its file twice")
    try:
        path.open("rb").close()
    except OSError as error:
        raise SettingError(str(path), f"the file cannot be read ({error.strerror}); change its permissions") from None


def _records(
    path: Path, delimiter: str, read: Callable[[int], None] = _nothing_to_tell
) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(FIELD_LIMIT)
    line = 1
    with path.open("rb") as file:
        reader = csv.reader(_lines(file, read), delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            raise MalformedFileError(line, _in_plain_words(str(error))) from None


def _lines(file: BinaryIO, read: Callable[[int], None]) -> Iterator[str]:
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    told = passed = 0
    for number, raw in enumerate(iter(lambda: file.readline(LINE_LIMIT), b""), 1):
        if len(raw) == LINE_LIMIT:
            raise MalformedFileError(number, f"longer than {LINE_LIMIT >> 20} MiB without a line end")
        yield _decoded(number, raw)
        passed += len(raw)
        if passed - told >= TOLD_EVERY:
            read(passed - told)
            told = passed
    read(passed - told)


def _decoded(number: int, raw: bytes) -> str:
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1:,}"
        raise MalformedFileError(number, f"{byte} is not UTF-8; save the file as UTF-8") from None
    if "\0" in line:
        raise MalformedFileError(number, "a NUL byte, which no text in Postgres can hold")
    return line


def _sniff(sample: str) -> str:
    """The delimiter under which most records are as wide as the header, then the one that gives more fields."""

    def agreement(delimiter: str) -> tuple[bool, int, int]:
        widths = _widths(sample, delimiter)
        header = widths[0] if widths else 0
        return header > 1, widths.count(header), header

    return max(DELIMITERS, key=agreement)


def _widths(sample: str, delimiter: str) -> list[int]:
    # The sample may end in the middle of a record: its last line takes no part unless it is the only one.
    lines = sample.splitlines(keepends=True)
    reader = csv.reader(lines[:-1] or lines, delimiter=delimiter)
    widths: list[int] = []
    try:
        widths.extend(len(fields) for fields in islice(reader, 100) if fields)
    except csv.Error:
        return widths
    return widths


def _checked_header(line: int, header: list[str]) -> tuple[str, ...]:
    if not header:
        raise MalformedFileError(line, "the file is empty; its first line must name the columns")
    names = [name.strip() for name in header]
    if "" in names:
        raise MalformedFileError(line, f"column {names.index('') + 1:,} has no name")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        first = names.index(name)
        second = names.index(name, first + 1)
        raise MalformedFileError(line, f"columns {first + 1:,} and {second + 1:,} are both named {_short(name)}")
    return tuple(names)


def _in_plain_words(reason: str) -> str:
    if "unexpected end of data" in reason:
        return "a quote is opened in this record and never closed"
    if "field larger" in reason:
        return f"a field of more than {FIELD_LIMIT >> 20} MiB; is a quote never closed?"
    if "new-line character" in reason:
        return "a carriage return inside an unquoted field; line ends must be LF or CRLF"
    if "expected after" in reason:
        return "text after a closing quote; quotes inside a field must be doubled"
    return reason


def _short(name: str, limit: int = 60) -> str:
    return repr(name if len(name) <= limit else f"{name[:limit]}…")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
