"""Lengths of time as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stability import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h0m5s", 3605),
        ("0.5", 0.5),
        (" 2H ", 7200),
        ("1.5m", 90),
        ("2d", 172_800),
        ("1d12h", 129_600),
    ],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    """Days, hours, minutes and seconds in this order, or a plain number of seconds."""
    assert durations.duration(text) == seconds


@given(st.text(max_size=8) | st.from_regex(r"[0-9dhms. -]{0,8}", fullmatch=True))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    """Whatever is typed is either a time greater than zero or a ValueError."""
    try:
        seconds = durations.duration(text)
    except ValueError:
        return
    assert seconds > 0
    assert text.strip()[0] in "0123456789."
