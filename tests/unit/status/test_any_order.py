"""Any order and any repetition of the same messages ends in the same documents; what a crash left undone is done later."""

import asyncio
import random
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.status.sweeper import sweep
from shared.contracts import ids
from shared.contracts.names import Noun
from shared.messaging.outcomes import Unavailable
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Memory, Speaker, Ticking, alike, documents
from tests.support.status_messages import STARTED, backup, observed, ours
from tests.support.status_stories import OWN_STORIES, STORIES, external_lives

pytestmark = pytest.mark.thorough


async def ending(messages, later=timedelta(hours=1)):
    desk = Desk(clock=Ticking(NOW + later))
    for message in messages:
        await desk.hear(*message)
    assert not any(row["unannounced"] for row in desk.memory.rows.values())
    return documents(desk.memory)


@pytest.mark.parametrize("story", STORIES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_any_permutation_and_duplication_of_the_same_events_ends_in_the_same_documents(story, data):
    messages = STORIES[story]()
    mixed = messages + data.draw(st.lists(st.sampled_from(messages), max_size=len(messages)))
    seed = data.draw(st.integers(0, 2**32))
    random.Random(seed).shuffle(mixed)
    alike(await ending(mixed), await ending(messages))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order=st.permutations(range(len(external_lives()))), again=st.lists(st.sampled_from(range(len(external_lives())))))
async def test_any_permutation_of_external_lives_ends_alike(order, again):
    messages = external_lives()
    alike(await ending([messages[i] for i in [*order, *again]]), await ending(messages))


class Interleaved:
    """A memory whose calls take turns at random, as those of several workers and several services do."""

    def __init__(self, inner, seed):
        self._inner, self._random = inner, random.Random(seed)

    def __getattr__(self, name):
        call = getattr(self._inner, name)

        async def in_turn(*args, **kwargs):
            for _ in range(self._random.randrange(12)):
                await asyncio.sleep(0)
            return await call(*args, **kwargs)

        return in_turn


@pytest.mark.parametrize("story", [*OWN_STORIES, "03-ttl-gc"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
async def test_any_number_of_services_at_once_end_in_the_same_documents_and_announce_every_change_once(story, seed):
    messages = STORIES[story]()
    memory, speaker = Memory(), Speaker()
    clock = Ticking(NOW + timedelta(hours=1))
    desks = [Desk(Interleaved(memory, seed + i), speaker, clock=clock) for i in range(3)]
    mixed = random.Random(seed).sample(messages, len(messages))
    await asyncio.gather(*(desk.hear(*message) for i, message in enumerate(mixed) for desk in desks[: 1 + i % 3]))
    alike(documents(memory), await ending(messages))
    announced_in_full(memory, speaker)


async def test_a_row_written_from_what_another_service_has_just_moved_on_does_not_stay():
    memory, speaker = Memory(), Speaker()
    other = Desk(memory, speaker)

    class Overtaken(Memory):
        """Between the reading of the unstarted backup and the writing of its row, another service hears that it started."""

        overtaken = False

        async def save(self, noun, row_id, current, change):
            if not self.overtaken:
                self.overtaken = True
                await other.hear(*observed(backup(rv=2, phase="InProgress", startTimestamp=STARTED)))
            return await super().save(noun, row_id, current, change)

    slow = Desk(Overtaken(memory.objects, memory.pages, memory.rows, memory.transitions), speaker)
    await slow.hear(*observed(backup(rv=1)))
    ((_, row_id),) = memory.rows
    assert row_id == ids.started_backup_id("eu1", "velero", "shop", STARTED)
    assert not [entry for row in memory.rows.values() for entry in row["unannounced"]]


def announced_in_full(memory, speaker):
    for (noun, row_id), row in memory.rows.items():
        assert row["unannounced"] == []
        said = [envelope.data for i, (_, envelope) in speaker.said.items() if i.startswith(f"{noun}/{row_id}/")]
        said.sort(key=lambda data: data.seq)
        assert said[-1].seq == row["statusSeq"]
        began = [data.from_ is None for data in said]  # once in each life of the row
        assert began[0]
        assert began.count(True) == 1 + memory.forgotten[noun, row_id]
        assert all(data.from_ in {None, before.to} for before, data in pairwise(said))
        assert said[-1].to == (row["item"].get("status") or row["item"]["state"])


class Crash(BaseException):
    """The process dies here."""


class Fragile:
    """Anything whose n-th call is the process's last: before the call takes effect, or right after."""

    def __init__(self, inner, fuse, *, after):
        self._inner, self._fuse, self._after = inner, fuse, after

    def __getattr__(self, name):
        call = getattr(self._inner, name)
        if not callable(call):
            return call

        async def fragile(*args, **kwargs):
            if self._fuse.burns() and not self._after:
                raise Crash
            answer = await call(*args, **kwargs)
            if self._fuse.left == 0 and self._after:
                self._fuse.left = -1
                raise Crash
            return answer

        return fragile


class Fuse:
    def __init__(self, length):
        self.left = length

    def burns(self):
        self.left -= 1
        return self.left == 0


STRIDES = dict.fromkeys(OWN_STORIES, 1) | {"deletions": 4, "former id": 3, "measurements": 4, "velero schedules": 4}
STRIDES |= {"restores": 9, "places": 4, "external lives": 3, "copied and stripped": 3}
"""How many calls lie between two crashes that are tried: a story of many calls takes long."""


@pytest.mark.parametrize("story", OWN_STORIES)
@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_call_loses_no_change_and_says_none_twice(story, after):
    messages = STORIES[story]()
    untouched = Desk(now=NOW + timedelta(hours=1))
    for message in messages:
        await untouched.hear(*message)
    crashes, length = 0, 0
    while True:
        length += STRIDES[story]
        fuse, memory, speaker = Fuse(length), Memory(), Speaker()
        desk = Desk(Fragile(memory, fuse, after=after), Fragile(speaker, fuse, after=after), now=NOW + timedelta(hours=1))
        died = False
        for message in messages:
            try:
                await desk.hear(*message)
            except Crash:
                died = True
                await desk.hear(*message)  # not acked, so it is delivered again
        if not died:
            break
        crashes += 1
        assert documents(memory) == documents(untouched.memory)
        assert {i: (s, e.data) for i, (s, e) in speaker.said.items()} == {
            i: (s, e.data) for i, (s, e) in untouched.speaker.said.items()
        }
        assert memory.transitions == untouched.memory.transitions
    assert crashes > 50 / STRIDES[story]


@pytest.mark.parametrize("story", OWN_STORIES)
@pytest.mark.parametrize("after", [False, True])
async def test_a_message_that_comes_again_much_later_completes_what_a_crash_left_undone(story, after):
    messages = STORIES[story]()
    expected, length, died = await ending(messages), 0, True
    while died:
        length, died = length + STRIDES[story], False
        fuse, memory, speaker = Fuse(length), Memory(), Speaker()
        clock = Ticking(NOW + timedelta(hours=1))
        desk = Desk(Fragile(memory, fuse, after=after), Fragile(speaker, fuse, after=after), clock=clock)
        again = []
        for message in messages:
            try:
                await desk.hear(*message)
            except Crash:
                died = True
                again.append(message)
        for message in again:
            await desk.hear(*message)
        alike(documents(memory), expected)
        announced_in_full(memory, speaker)


async def test_a_change_that_was_never_announced_is_announced_by_the_sweep():
    class Mute(Speaker):
        async def publish(self, subject, envelope):
            raise Unavailable("nats", "away")

    desk = Desk(speaker=Mute())
    with pytest.raises(Unavailable):
        await desk.hear(*observed(backup(labels=ours("op1"))))
    assert [entry["to"] for entry in desk.memory.rows[Noun.BACKUP, "op1"]["unannounced"]] == ["Creating"]
    healed = Desk(memory=desk.memory, now=NOW + timedelta(seconds=1))
    await sweep(healed.ports)
    assert (healed.speaker.statuses("backup"), desk.memory.rows[Noun.BACKUP, "op1"]["unannounced"]) == (["Creating"], [])


async def test_a_stale_observation_changes_nothing_and_an_equal_one_is_announced_again():
    desk = Desk()
    newer = observed(backup(rv=10, phase="Completed", labels=ours("op1")))
    await desk.hear(*newer)
    before = documents(desk.memory)
    await desk.hear(*observed(backup(rv=9, labels=ours("op1"))))
    assert documents(desk.memory) == before
    desk.memory.rows[Noun.BACKUP, "op1"]["unannounced"] = [
        {"seq": 7, "from": None, "to": "Completed", "at": NOW, "item": desk.memory.rows[Noun.BACKUP, "op1"]["item"]}
    ]
    await desk.hear(*newer)
    assert "backup/op1/7" in desk.speaker.said


async def test_versions_compare_as_numbers_and_a_new_epoch_comes_first():
    desk = Desk()
    for epoch, rv, phase in ((1, 9, "New"), (1, 100, "InProgress"), (2, 1, "Completed"), (1, 2**40, "Failed")):
        await desk.hear(*observed(backup(epoch=epoch, rv=rv, phase=phase, labels=ours("op1"))))
    assert desk.memory.rows[Noun.BACKUP, "op1"]["item"]["phase"] == "Completed"
