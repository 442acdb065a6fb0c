"""The judge itself: it tells the truth, being late, and a lie apart."""

import pytest

from tests.chaos.verdict import Truth, Verdict, judge

TRUTHS = [Truth(0, 0, True), Truth(10, 11, False), Truth(20, 21, True)]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ([(0, True), (11, False), (21, True)], Verdict(0, 0)),
        ([(0, True), (10.5, False), (20.5, True)], Verdict(0, 0)),
        ([(0, True), (13, False), (22, True)], Verdict(2, 0)),
        ([(0, True), (12, None), (15, False), (21, None), (25, True)], Verdict(1, 0)),
        ([(0, True), (12, None), (13, True), (14, False), (21, True)], Verdict(1, 1)),
        ([(0, True), (5, False), (7, True), (11, False), (21, True)], Verdict(0, 2)),
        ([(0, True), (11, False)], Verdict(9, 0)),
    ],
)
def test_verdicts(shown: list[tuple[float, bool | None]], expected: Verdict) -> None:
    """Each history by hand; it ends at 30."""
    assert judge(shown, TRUTHS, 30) == expected
