"""A CSV file to import when none is given: orders as a shop would export them, the same for the same seed."""

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final

HEADER: Final = ("order_id", "ordered_at", "customer", "country", "product", "quantity", "amount", "note")
FIRST_ORDER: Final = datetime(2025, 1, 1, tzinfo=UTC)
TOLD_EVERY: Final = 5_000  # rows between two calls of `made`

_GIVEN: Final = ("Ana", "Björn", "Chloé", "Dmitri", "Ewa", "Fatima", "Göran", "Hoàng", "Inés", "José", "Kenji", "李娜")
_FAMILY: Final = ("Almeida", "Brännström", "Çelik", "Dvořák", "Eriksen", "O'Brien", "García, S.A.", "Hüber", "Ionescu")
_COUNTRIES: Final = ("DE", "FR", "SE", "PL", "ES", "JP", "VN", "BR", "US")
_PRODUCTS: Final = {
    'Cable 3/8", braided': 790,
    "Kettle, enamel": 3490,
    "Notebook A5; ruled": 425,
    "Lamp “Nordlicht”": 8900,
    "Bicycle bell": 1250,
    "Crème brûlée set 🍮": 2275,
}
_NOTES: Final = (
    "",
    "",
    "",
    "leave at the door",
    'customer said: "before noon, please"',
    "second floor,\nring twice",
    "Übergabe an Nachbarn möglich",
)


def make(path: Path, rows: int, columns: int, seed: int, made: Callable[[int], None]) -> None:
    """Write `rows` orders of `columns` fields to `path`; `made` is told of rows as they are written."""
    random = Random(seed)  # noqa: S311 -- the same file for the same seed, and no secret in it
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_header(columns))
        for start in range(0, rows, TOLD_EVERY):
            part = range(start, min(start + TOLD_EVERY, rows))
            writer.writerows(_orders(random, part, columns))
            made(len(part))


def _header(columns: int) -> tuple[str, ...]:
    return tuple(chain(HEADER, (f"measure_{n}" for n in range(len(HEADER) + 1, columns + 1))))[:columns]


def _orders(random: Random, numbers: range, columns: int) -> Iterator[tuple[object, ...]]:
    products = tuple(_PRODUCTS.items())
    for number in numbers:
        product, price = random.choice(products)
        quantity = random.randint(1, 12)
        cents = price * quantity
        order = (
            f"O-{number + 1:08}",
            (FIRST_ORDER + timedelta(seconds=31 * number)).isoformat(),
            f"{random.choice(_GIVEN)} {random.choice(_FAMILY)}",
            random.choice(_COUNTRIES),
            product,
            quantity,
            f"{cents // 100}.{cents % 100:02}",
            random.choice(_NOTES),
        )
        yield (*order, *_measures(random, columns - len(HEADER)))[:columns]


def _measures(random: Random, count: int) -> Iterator[str]:
    # one in eight was not taken
    return (f"{random.random() * 200 - 100:.3f}" if random.random() > 1 / 8 else "" for _ in range(count))
