import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.artifacts.unpacking import Gunzip, NotWholeError, Tail, is_gzip


def unpacked(*pieces):
    gunzip = Gunzip()
    text = b"".join(out for piece in pieces for out in gunzip.feed(piece))
    gunzip.close()
    return text


@given(st.binary(), st.integers(1, 40), st.integers(0, 3))
def test_what_was_packed_comes_back_however_it_was_cut_up_and_padded(text, size, members):
    packed = b"".join(gzip.compress(text) for _ in range(members + 1)) + b"\0" * members
    assert unpacked(*(packed[i : i + size] for i in range(0, len(packed), size))) == text * (members + 1)


@given(st.binary(min_size=1), st.data())
def test_what_ends_in_the_middle_is_never_whole(text, data):
    packed = gzip.compress(text)
    with pytest.raises(NotWholeError):
        unpacked(packed[: data.draw(st.integers(0, len(packed) - 1))])


@pytest.mark.parametrize("odd", [b"plain text", b"\x1f\x8b\x08", gzip.compress(b"a", mtime=0) + b"rubbish", b""], ids=repr)
def test_what_is_not_gzip_is_not_taken_for_it(odd):
    with pytest.raises(NotWholeError):
        unpacked(odd)
    assert is_gzip(odd) == odd.startswith(b"\x1f\x8b")


def test_a_broken_checksum_is_noticed():
    packed = bytearray(gzip.compress(b"a" * 1000))
    packed[-6] ^= 1
    with pytest.raises(NotWholeError):
        unpacked(bytes(packed))


def test_a_little_that_unpacks_to_a_lot_takes_little_memory():
    packed = gzip.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    try:
        gunzip, tail, count = Gunzip(), Tail(5), 0
        for out in gunzip.feed(packed):
            count += len(out)
            tail.feed(out)
        assert count == 200_000_000
        assert len(tail.text()) <= 4 * 1024 * 1024
        assert tracemalloc.get_traced_memory()[1] < 24 * 1024 * 1024
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(max_size=20), max_size=30), st.integers(1, 12), st.integers(1, 9))
def test_the_tail_is_the_last_lines(lines, count, size):
    text, tail = b"\n".join(lines), Tail(count)
    for i in range(0, len(text), size):
        tail.feed(text[i : i + size])
    assert tail.text() == b"\n".join(text.removesuffix(b"\n").split(b"\n")[-count:]) + (b"\n" if text.endswith(b"\n") else b"")


def test_the_tail_of_endless_lines_is_of_whole_lines_and_bounded():
    tail = Tail(1000)
    for number in range(300):
        tail.feed(b"%03d" % number + b"x" * 99_996 + b"\n")
    lines = tail.text().splitlines()
    assert {len(line) for line in lines} == {99_999}
    assert lines[-1].startswith(b"299")
    assert sum(map(len, lines)) <= 4 * 1024 * 1024
