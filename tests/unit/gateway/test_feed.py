import asyncio
from datetime import UTC, datetime

import pytest

from services.gateway.events import EventStream, alive, encode, opening
from services.gateway.waiting import Event, Feed, Interest
from shared.contracts.envelope import Envelope
from shared.contracts.events import Changed, Progressed
from shared.contracts.subjects import Subject
from shared.messaging.feed import Entry, Place
from shared.messaging.outcomes import Unavailable
from shared.runtime.health import Dependency
from tests.support.waiting import eventually

AT = datetime(2026, 1, 1, tzinfo=UTC)


def feed_of(**facts):
    feed = Feed(Dependency("feed"), **facts)
    feed.begin(0, 0)
    return feed


def say(feed, sequence, *, seq=None, view="b", noun="backup", cluster="eu1", operation=None, stream=None):
    change = Changed(id=view, seq=sequence if seq is None else seq, from_=None, to="Completed", at=AT, item={"n": sequence})
    feed.take(sequence, Subject("state", cluster, noun, "changed", view), change, operation, stream)


def progress(feed, seq, n=7, noun="backup"):
    feed.take_progress(Subject("live", "eu1", noun, "progressed", "b"), Progressed(id="b", seq=seq, item={"n": n}))


async def heard(subscription):
    found = []
    while not subscription.queue.empty():
        found.append(await subscription.next(1))
    return [event.item["n"] if event else None for event in found]


async def test_a_listener_hears_what_comes_after_it_in_order():
    feed = feed_of()
    say(feed, 1)
    async with feed.listening(Interest(), None) as listener:
        say(feed, 2)
        say(feed, 3)
        assert (listener.backlog, await heard(listener)) == ([], [2, 3])
        assert opening(listener) == b"retry: 2000\n\nid: 0-1\n\n"
    assert feed.listeners == 0


async def test_a_listener_resumes_right_behind_what_it_heard():
    feed = feed_of()
    for n in range(1, 6):
        say(feed, n)
    async with feed.listening(Interest(), "0-3") as listener:
        assert [e.sequence for e in listener.backlog] == [4, 5]
        assert not listener.reset
    async with feed.listening(Interest(), "0-5") as listener:
        assert listener.backlog == []
        assert not listener.reset


@pytest.mark.parametrize(
    "last", ["0-1", "0-9", "3", "0--1", "x-3", "-1", "x", "0-²", "0-3\n", "0-99999999999999999999", "0-" + "3" * 70, " "]
)
async def test_a_listener_that_missed_what_is_not_kept_is_told_to_begin_again(last):
    feed = feed_of(history=2)
    for n in range(1, 6):
        say(feed, n)
    async with feed.listening(Interest(), last) as listener:
        assert listener.reset
        assert listener.backlog == []
        assert b"event: reset\nid: 0-5\n" in opening(listener)


async def test_the_oldest_place_to_resume_from_is_right_before_the_ring():
    feed = feed_of(history=2)
    for n in range(1, 6):
        say(feed, n)
    async with feed.listening(Interest(), "0-3") as listener:
        assert [e.sequence for e in listener.backlog] == [4, 5]


async def test_a_change_told_twice_or_too_late_is_heard_once():
    feed = feed_of()
    async with feed.listening(Interest(), None) as listener:
        say(feed, 1, seq=1)
        say(feed, 2, seq=2)
        say(feed, 3, seq=2)
        say(feed, 4, seq=1)
        say(feed, 5, seq=1, noun="operation")
        assert await heard(listener) == [1, 2, 5]


async def test_filters_hold_for_what_comes_and_for_what_was_missed():
    feed = feed_of()
    wanted = Interest(frozenset({"eu1"}), frozenset({"backup"}))
    async with feed.listening(wanted, None) as listener:
        say(feed, 1, view="a")
        say(feed, 2, view="b", cluster="us1")
        say(feed, 3, view="c", noun="operation")
        say(feed, 4, view="d")
        assert await heard(listener) == [1, 4]
    async with feed.listening(wanted, "0-0") as again:
        assert [e.item["n"] for e in again.backlog] == [1, 4]


async def test_progress_is_heard_without_an_id_and_not_kept():
    feed = feed_of()
    async with feed.listening(Interest(), None) as listener:
        progress(feed, 1)
        event = await listener.next(1)
        assert encode(event) == b'event: backup\ndata: {"n":7}\n\n'
    async with feed.listening(Interest(), "0-0") as again:
        assert again.backlog == []


async def test_progress_that_was_overtaken_by_an_announcement_is_dropped():
    feed = feed_of()
    async with feed.listening(Interest(), None) as listener:
        progress(feed, 1, n="before")
        say(feed, 1, seq=3)
        progress(feed, 2, n="late")
        progress(feed, 2, n="of something else", noun="operation")
        progress(feed, 3, n="of this status")
        progress(feed, 4, n="of a status not yet announced")
        assert await heard(listener) == ["before", 1, "of something else", "of this status", "of a status not yet announced"]


@pytest.mark.parametrize(("stream", "sequence"), [("b", 2), ("b", 7), ("b", 50), ("a", 2)], ids=str)
async def test_a_stream_made_anew_ends_what_was_heard_of_the_old_one(stream, sequence):
    feed = Feed(Dependency("feed"))
    feed.begin(0, 0, "a")
    for n in range(1, 8):
        say(feed, n, view=f"v{n}", stream="a")
    async with feed.listening(Interest(), "a-7") as listener:
        assert not listener.reset
        say(feed, sequence, seq=1, view="v7", stream=stream)
        assert listener.closed
        assert await listener.next(1) is None
    async with feed.listening(Interest(), f"{stream}-{sequence}") as fresh:
        assert (fresh.reset, fresh.backlog) == (False, [])
        say(feed, sequence + 1, seq=2, view="v7", stream=stream)
        assert await heard(fresh) == [sequence + 1]
    async with feed.listening(Interest(), f"{stream}-{sequence - 1}") as resumed:
        assert [e.id for e in resumed.backlog] == [f"{stream}-{sequence}", f"{stream}-{sequence + 1}"]
    for old in ("a-1", "a-7", "b-1", "b-0"):
        async with feed.listening(Interest(), old) as again:
            assert again.reset == (old != f"{stream}-{sequence - 1}"), old
            assert opening(again).endswith(b"\n\n")


async def test_a_stream_made_anew_while_it_is_being_caught_up_with_lets_nobody_wait():
    feed = Feed(Dependency("feed"))
    feed.begin(0, 1000, "a")
    say(feed, 1, stream="b")
    async with feed.listening(Interest(), None) as listener:
        assert listener.begin == "b-1"


async def test_the_feed_survives_whatever_reading_it_raises_and_goes_on_where_it_was(monkeypatch):
    begun = []

    async def newest(_connection):
        return Place("a", 2)

    async def follow(_connection, _dependency, after):
        begun.append(after)
        if len(begun) == 1:
            raise KeyError("odd")
        if len(begun) > 2:
            await asyncio.Event().wait()
        for n in (1, 2):
            change = Changed(id="b", seq=n, from_=None, to="Completed", at=AT, item={"n": n})
            envelope = Envelope(
                id=f"{n}", source="/status", type="dev.leeward.backup.changed.v1", time=AT, cluster="eu1", data=change
            )
            yield Entry(n, Subject("state", "eu1", "backup", "changed", "b"), envelope, "a")
        raise ValueError("odder")

    monkeypatch.setattr("services.gateway.waiting.feed.newest", newest)
    monkeypatch.setattr("services.gateway.waiting.feed.follow", follow)
    monkeypatch.setattr("services.gateway.waiting._RETRY", 0.001)
    dependency = Dependency("feed")
    feed = Feed(dependency)
    task = asyncio.create_task(feed.follow(None))
    await eventually("begun for the third time", lambda: len(begun) == 3)
    assert not task.done()
    assert (begun, dependency.problem) == ([0, 0, 2], "odder")
    async with feed.listening(Interest(), "a-0") as listener:
        assert [e.sequence for e in listener.backlog] == [1, 2]
    task.cancel()
    await asyncio.wait({task})


def test_a_silence_moves_the_place_to_resume_from():
    assert alive(None) == b": alive\n\n"
    assert alive("a-7") == b": alive\n\nid: a-7\n\n"


async def test_a_listener_that_does_not_keep_up_is_closed_and_the_others_go_on():
    feed = feed_of(buffer=2)
    async with feed.listening(Interest(), None) as slow, feed.listening(Interest(frozenset({"us1"})), None) as other:
        for n in range(1, 5):
            say(feed, n)
        say(feed, 5, cluster="us1", view="u")
        assert slow.closed
        assert await slow.next(1) is None
        assert await heard(other) == [5]


async def test_closing_ends_a_listener_that_waits_and_those_that_come_later():
    feed = feed_of()
    async with feed.listening(Interest(), None) as listener:
        waiting = asyncio.create_task(listener.next(30))
        await asyncio.sleep(0)
        feed.close()
        assert await waiting is None
    async with feed.listening(Interest(), None) as late:
        assert await late.next(30) is None


async def test_nobody_listens_before_the_ring_is_filled(monkeypatch):
    monkeypatch.setattr("services.gateway.waiting._CATCH_UP", 0.01)
    feed = Feed(Dependency("feed"))
    feed.begin(0, 3)
    with pytest.raises(Unavailable, match="not been read yet"):
        async with feed.listening(Interest(), None):
            pass


async def test_who_waits_for_an_operation_is_woken_by_it_and_by_its_backup_only():
    feed = feed_of()
    with feed.waiting("op") as woken:
        say(feed, 1, view="other")
        assert not woken.is_set()
        say(feed, 2, view="op")
        assert woken.is_set()
        woken.clear()
        say(feed, 3, view="x", noun="operation", operation="op")
        assert woken.is_set()
    assert feed._waiters == {}


async def test_a_client_that_leaves_its_socket_full_is_given_up():
    async def stuck(_message):
        await asyncio.Event().wait()

    async def content():
        yield b"x"

    with pytest.raises(TimeoutError):
        await EventStream(content(), patience=0.01).stream_response(stuck)


def test_an_event_is_one_line_of_json_whatever_is_in_it():
    text = encode(Event(3, "backup", "eu1", {"reason": "a\nb\r\u2028\ud800"})).decode()
    head, data, end = text.split("\n", 2)[0], text.split("\n")[2], text[-2:]
    assert (head, end) == ("event: backup", "\n\n")
    assert text.count("\n") == 4
    assert data.startswith('data: {"reason":"a\\nb\\r')
