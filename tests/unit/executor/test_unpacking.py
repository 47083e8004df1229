"""Gzip in pieces: as much text as is wanted, from any pieces, and no more."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from services.executor.artifacts.unpacking import Unpacked


def fed(packed, size, most=1000, **more):
    found = Unpacked(most, **more)
    for start in range(0, max(len(packed), 1), size):
        found.feed(packed[start : start + size], len(packed))
        if found.ended:
            break
    return found


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 50), st.integers(0, 1000))
def test_any_pieces_give_the_text_up_to_its_limit(texts, size, most):
    whole = b"".join(texts)
    found = fed(b"".join(map(gzip.compress, texts)), size, most)
    assert (bytes(found.text), found.cut, found.broken) == (whole[:most], len(whole) > most, False)


def test_a_bomb_is_not_unpacked_further_than_wanted():
    packed = gzip.compress(bytes(50_000_000))
    found = fed(packed, len(packed), 1000, keep=True)
    assert (len(found.text), found.cut, found.ended) == (1000, True, True)


def test_half_a_file_and_no_file_are_broken():
    packed = gzip.compress(b"x" * 100)
    half = Unpacked(1000)
    half.feed(packed[:20], 20)
    assert half.broken
    assert fed(b"no gzip at all", 5).broken
    assert not fed(packed, 7, keep=True).broken
