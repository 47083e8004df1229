import pytest

from services.gateway.artifacts.ranges import BeyondTheEndError, quoted, still_holds, wanted


@pytest.mark.parametrize(
    ("header", "total", "part"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=3-", 10, (3, 10)),
        ("bytes=3-5", 10, (3, 6)),
        ("bytes=3-99", 10, (3, 10)),
        ("bytes=-4", 10, (6, 10)),
        ("bytes=-99", 10, (0, 10)),
        (" Bytes = 1 - 2 ", 10, (1, 3)),
    ],
)
def test_a_range_is_what_is_there_of_it(header, total, part):
    assert wanted(header).of(total) == part


@pytest.mark.parametrize(("header", "total"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_a_range_of_nothing_is_beyond_the_end(header, total):
    with pytest.raises(BeyondTheEndError):
        wanted(header).of(total)


@pytest.mark.parametrize(
    "header", [None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=\u0661-2"]
)
def test_what_is_no_single_range_of_bytes_is_ignored(header):
    assert wanted(header) is None


@pytest.mark.parametrize(
    ("if_range", "etag", "holds"),
    [
        (None, '"a"', True),
        ('"a"', '"a"', True),
        ('"b"', '"a"', False),
        ('W/"a"', 'W/"a"', False),
        (None, 'W/"a"', True),
        ("Sat, 29 Oct 1994 19:43:31 GMT", '"a"', False),
    ],
)
def test_only_a_strong_and_equal_etag_continues_what_was_begun(if_range, etag, holds):
    assert still_holds(if_range, etag) == holds


def test_an_etag_that_no_header_can_carry_gets_another_name_that_is_always_the_same():
    assert quoted('"0x8DC"') == '"0x8DC"'
    assert quoted("bare") == quoted("bare") != quoted("other")
    assert all(c not in quoted('a"\r\nSet-Cookie: x') for c in "\r\n:")
