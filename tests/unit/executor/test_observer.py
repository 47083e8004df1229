"""What an observer says, when it is interrupted or overtaken: nothing is skipped because it was about to be said."""

import asyncio
import contextlib

from services.executor.kube import Listed
from services.executor.seeing.inventory import fitting
from services.executor.seeing.observing import Observer
from services.executor.seeing.presence import some
from shared.contracts.events import Inventory, KindInfo, NamespaceInfo, Problem, VeleroInfo
from tests.support.messages import NOW


class Voice:
    """A publisher that can be held up."""

    def __init__(self) -> None:
        self.said = []
        self.free = asyncio.Event()
        self.free.set()

    async def publish(self, _subject, envelope) -> None:
        await self.free.wait()
        self.said.append((envelope.type.split(".")[3], envelope.data))

    def versions(self):
        return [(d.epoch, d.resource_version) for verb, d in self.said if verb == "observed"]


class Epoch:
    async def seen(self, epoch, version) -> None:
        pass


def observer(voice, progress_every=60.0):
    return Observer("eu1", "backup", Epoch(), voice, lambda: NOW, progress_every=progress_every, high_water_every=60.0)


def backup(rv, phase="InProgress", done=0, uid="u1"):
    meta = {"uid": uid, "name": uid, "namespace": "velero", "resourceVersion": str(rv)}
    return {"kind": "Backup", "metadata": meta, "status": {"phase": phase, "progress": {"itemsBackedUp": done}}}


async def test_a_change_whose_saying_was_cut_short_is_said_by_the_next_list():
    voice = Voice()
    watch = observer(voice)
    await watch.listed(Listed([backup(1)], 1), 7)
    voice.free.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await watch.changed(backup(2, "Completed"), deleted=False)
    voice.free.set()
    await watch.listed(Listed([backup(2, "Completed")], 2), 7)
    assert voice.versions() == [(7, 1), (7, 2)]


async def test_what_a_watch_still_brings_belongs_to_the_epoch_of_its_own_list():
    voice = Voice()
    watch = observer(voice)
    await watch.listed(Listed([backup(5000)], 5000), 7)
    await watch.changed(backup(5001, "Completed"), deleted=False)  # another kind may have found a new epoch by now
    await watch.listed(Listed([backup(90)], 90), 8)
    assert voice.versions() == [(7, 5000), (7, 5001), (8, 90)]


async def test_progress_that_waits_is_dropped_by_a_list_and_by_whatever_is_newer():
    voice = Voice()
    watch = observer(voice, progress_every=0.05)
    await watch.listed(Listed([backup(1)], 1), 7)
    await watch.changed(backup(2, done=1), deleted=False)
    await watch.listed(Listed([backup(3, "Completed")], 3), 7)
    await watch.changed(backup(4, "Completed", done=2), deleted=False)
    await watch.changed(backup(5, "Deleting", done=2), deleted=False)
    await asyncio.sleep(0.1)  # longer than progress waits
    assert voice.versions() == [(7, 1), (7, 3), (7, 5)]
    watch.stop()


async def test_an_object_that_cannot_be_told_of_hides_no_other():
    voice = Voice()
    watch = observer(voice)
    odd = backup("not a number", uid="odd")
    await watch.listed(Listed([odd, backup(1)], 1), 7)
    await watch.changed(backup(2, "Completed"), deleted=False)
    assert voice.versions() == [(7, 1), (7, 2)]


def test_an_inventory_of_any_size_becomes_one_that_fits():
    kinds = [KindInfo(name="k" * 100 + str(n), group="g" * 60, kind="K", namespaced=True) for n in range(8000)]
    spaces = [NamespaceInfo(name=f"n{n}", labels={"a": "b" * 60}) for n in range(20_000)]
    cut = fitting(Inventory(kubernetes_version="v1", velero=VeleroInfo(namespace="velero"), namespaces=spaces, kinds=kinds))
    assert cut.truncated
    assert cut.kinds
    assert len(str(cut.wire())) < 1 << 20


def test_problems_are_told_up_to_fifty_and_then_counted():
    problems = [Problem(code="PoisonObject", message=str(n)) for n in range(60)]
    assert some(problems[:50]) == problems[:50]
    assert len(some(problems)) == 51
    assert "10" in some(problems)[-1].message
