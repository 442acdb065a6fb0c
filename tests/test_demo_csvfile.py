"""The demo reads CSV files strictly: any delimiter and quoting that is sound, and a line and a reason for all else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stability.demo.csvfile import CsvFile, MalformedFileError, require_file
from stability.errors import SettingError

Write = Callable[[str | bytes], Path]


def read(path: Path) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    file = CsvFile.open(path)
    return file.header, list(file.rows())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_takes_every_usual_delimiter_and_line_end(written: Write, delimiter: str, end: str) -> None:
    """Comma, semicolon, tab and bar are told apart without being named, under both line ends."""
    text = f"first{delimiter}second{end}1{delimiter}2{end}"
    assert read(written(text)) == (("first", "second"), [(2, ["1", "2"])])


def test_a_delimiter_inside_of_quotes_does_not_mislead(written: Write) -> None:
    """A semicolon file whose texts are full of commas is a semicolon file."""
    text = 'a;b\n"1,2,3";"x,y,z"\n"4,5,6";"u,v,w"\n'
    assert read(written(text)) == (("a", "b"), [(2, ["1,2,3", "x,y,z"]), (3, ["4,5,6", "u,v,w"])])


def test_one_column_needs_no_delimiter(written: Write) -> None:
    """A file with a single column is a CSV file."""
    assert read(written("name\nAna\n李娜\n")) == (("name",), [(2, ["Ana"]), (3, ["李娜"])])


def test_a_byte_order_mark_is_no_part_of_the_first_name(written: Write) -> None:
    """What spreadsheet programs put in front of UTF-8 is dropped."""
    assert read(written("\ufeffa,b\n1,2\n".encode())) == (("a", "b"), [(2, ["1", "2"])])


def test_rows_know_the_line_they_start_on(written: Write) -> None:
    """A quoted field may hold line ends, and blank lines are passed over; line numbers stay true."""
    text = 'a,b\n"1\n2\r\n3",x\n\n4,5\n'
    assert read(written(text))[1] == [(2, ["1\n2\r\n3", "x"]), (6, ["4", "5"])]


def test_the_last_line_needs_no_end(written: Write) -> None:
    """A file that stops right after its last field is whole."""
    assert read(written("a,b\n1,2"))[1] == [(2, ["1", "2"])]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 1, "the file is empty"),
        (b"\n\n", 1, "the file is empty"),
        (b"a,b\n1,2\n1,2,3\n", 3, "3 fields where the header has 2"),
        (b"a,b\n1,2\n1\n", 3, "1 field where the header has 2"),
        (b'a,b\n1,"2\n3,4\n', 2, "never closed"),
        (b'a,b\n1,"2"x\n', 2, "text after a closing quote"),
        (b"a,b\n1,2\rx,3\n", 2, "carriage return"),
        (b"a,b\n1,2\n\x00,3\n", 3, "a NUL byte"),
        (b"a,b\n1,\xff\n", 2, "byte 0xff at position 3 is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", 1, "is not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00", 1, "a NUL byte"),
        ("a,b\n1,2\n".encode("utf-16"), 1, "the file is UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), 1, "a NUL byte"),
        (b"a,b,a\n1,2,3\n", 1, "columns 1 and 3 are both named 'a'"),
        (b"a,,c\n1,2,3\n", 1, "column 2 has no name"),
        (b'a,b\n1,"' + b"x" * (17 << 20), 2, "a quote never closed"),
        (b"x" * (65 << 20), 1, "longer than 64 MiB without a line end"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else None,
)
def test_a_malformed_file_names_its_line_and_reason(written: Write, content: bytes, line: int, reason: str) -> None:
    """Whatever is wrong, one sentence says where and what."""
    with pytest.raises(MalformedFileError) as caught:
        read(written(content))
    assert (caught.value.line, reason in caught.value.reason) == (line, True), caught.value.reason


def test_an_uneven_row_is_found_at_the_end_of_a_long_file(written: Write) -> None:
    """Line 99,999 is judged like line 2."""
    path = written("a,b\n" + "1,2\n" * 99_997 + "1,2,3\n" + "1,2\n")
    with pytest.raises(MalformedFileError, match=r"^line 99,999: 3 fields where the header has 2$"):
        read(path)


def test_tells_of_every_byte(written: Write) -> None:
    """A progress bar over the bytes reaches its end."""
    path = written("a,b\n" + "1,2\n" * 600_000)
    told: list[int] = []
    assert sum(1 for _ in CsvFile.open(path).rows(told.append)) == 600_000
    assert sum(told) == path.stat().st_size
    assert len(told) > 2


def test_what_is_no_file_is_a_wrong_argument(tmp_path: Path) -> None:
    """A missing file and a folder are refused by name before anything begins."""
    with pytest.raises(SettingError, match=r"missing\.csv: there is no such file"):
        require_file(tmp_path / "missing.csv")
    with pytest.raises(SettingError, match="no regular file"):
        require_file(tmp_path)
