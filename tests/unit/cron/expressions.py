"""Expressions by chance, for Random and for hypothesis."""

import random
from datetime import date, timedelta

from hypothesis import strategies as st

from tests.unit.cron.manual import DAYS, MONTHS, read

FIELDS = [(0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (0, 7, DAYS)]

ZONES = [
    ("UTC", 2028),
    ("Europe/Berlin", 2027),
    ("America/New_York", 2026),
    ("Australia/Lord_Howe", 2026),  # set by half an hour
    ("Pacific/Apia", 2011),  # the 30th of December never was
    ("Europe/Istanbul", 2016),  # set forward for the last time
    ("America/Sao_Paulo", 2018),  # set at midnight
    ("Africa/Casablanca", 2026),  # set back for the Ramadan
    ("America/St_Johns", 2010),  # set a minute after midnight, half an hour off
    ("Asia/Pyongyang", 2015),  # half an hour back without a summer
    ("America/Havana", 2040),  # midnight comes twice; beyond the tables of 2037
    ("Antarctica/Troll", 2026),  # set by two hours
]
"""Zones, and a year in which their clocks are worth looking at."""


def expression(chance: random.Random, *, dense: bool = True) -> str:
    words = [_field(chance, *field) for field in FIELDS]
    if not dense and words[0] == "*":
        words[0] = str(chance.randrange(60))
    words[2:5] = [word if chance.random() < 0.3 else "*" for word in words[2:5]]
    text = " ".join(words)
    return text if fires(text) else expression(chance, dense=dense)


def fires(text: str) -> bool:
    reading, leap_year = read(text), date(2028, 1, 1)
    return any(reading.on(leap_year + timedelta(days=day)) for day in range(366))


def _field(chance, low, high, names):
    def value(number):
        return names[number - low] if chance.random() < 0.3 and number - low < len(names) else str(number)

    kind = chance.choice(["*", "value", "value", "value", "list", "range", "steps", "some steps", "from"])
    first, last = sorted(chance.sample(range(low, high + 1), 2))
    step = chance.choice([2, 3, 4, 5, 6, 7, 10, 12, 15, 20, 30])
    return {
        "*": "*",
        "value": value(first),
        "list": f"{value(first)},{value(last)}",
        "range": f"{value(first)}-{value(last)}",
        "steps": f"*/{step}",
        "some steps": f"{value(first)}-{value(last)}/{step}",
        "from": f"{value(min(first, 6))}/{step}" if high != 7 else value(first),
    }[kind]


def expressions(*, dense: bool = True) -> st.SearchStrategy[str]:
    # A number and not st.randoms(): an expression is short enough to read, and this is many times faster.
    return st.integers(0, 2**32).map(lambda seed: expression(random.Random(seed), dense=dense))


def zones() -> st.SearchStrategy[str]:
    return st.sampled_from([zone for zone, _ in ZONES])
