"""What a restore from another cluster does when its surroundings change between two looks, and what is swept up after it."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.executor.kube import (
    BACKUPS,
    CONFIG_MAPS,
    LOCATIONS,
    RESTORES,
    SECRETS,
    ForbiddenError,
    InternalError,
    NotFoundError,
)
from services.executor.ports import Ports
from services.executor.restores.crossing import cross
from services.executor.restores.struggles import Struggle
from services.executor.restores.sweeping import sweep
from services.executor.settings import Restoring
from shared.contracts.events import Answer
from shared.messaging.outcomes import Retry
from tests.support.crossing import FirstEpoch, Fuse, Stream, Voice
from tests.support.memory_kube import Ended, MemoryKube
from tests.support.messages import NOW, restore_command

SPEC = {"provider": "aws", "objectStorage": {"bucket": "b"}}
LIMITS = Restoring(available=60, settled=15, found=100, failing=90, looked_into=0, cleaned=30)
OWN, OTHER = "leeward-mirror-op1", "leeward-mirror-op2"


class Known:
    async def with_names(self, _names: Any) -> Any:
        return SimpleNamespace(named=lambda _: True)


class Desk:
    """A cluster `us1` in memory, and an executor that knows from one look to the next no more than how it struggles."""

    def __init__(self) -> None:
        self.kube, self.stream, self.now = MemoryKube(), Stream(), NOW
        self.struggles: dict[str, Struggle] = {}

    def ports(self) -> Ports:
        return Ports(
            cluster="us1",
            namespace="velero",
            kube=cast(Any, self.kube),
            kinds=cast(Any, Known()),
            sealing=cast(Any, SimpleNamespace(open=self._open)),
            velero=lambda: Answer(answered_at=NOW),
            publisher=Voice(self.stream, Fuse()),
            record=self.stream,
            epoch=FirstEpoch(),
            clock=lambda: self.now,
            restoring=LIMITS,
            struggles=self.struggles,
        )

    async def _open(self, _sealed: Any) -> bytes:
        return b"keys"

    async def look(self, order: Any, times: int = 1, *, after: float = 0) -> str:
        """Look so many times, once the time has passed; return how the command was answered, or what is waited for."""
        self.now += timedelta(seconds=after)
        waits = ""
        for _ in range(times):
            try:
                await cross(self.ports(), order)
            except Retry as wait:
                waits = str(wait)
            else:
                return self.stream.verbs(str(order.operationid))[-1]
        return waits

    def refusal(self) -> Any:
        return self.stream.data("op1", "rejected").refusal

    def mirror(self, name: str, *users: str, phase: str = "Available", **more: Any) -> None:
        marks = {f"leeward.dev/used-by.{user}": f"r-{user}" for user in users} | more
        labels = {"leeward.dev/mirror-of": "eu1", "leeward.dev/cluster": "us1"}
        self.location(name, phase=phase, labels=labels, annotations=marks)

    def location(self, name: str, *, phase: str = "Available", mode: str = "ReadOnly", **metadata: Any) -> None:
        self.kube.put(LOCATIONS, name, {**SPEC, "accessMode": mode}, **metadata)
        self.turn(name, phase)

    def turn(self, name: str, phase: str, kind: Any = LOCATIONS) -> None:
        """What Velero says."""
        found = self.kube.find(kind, name)
        assert found is not None
        found["status"] = {"phase": phase}

    def copy(self, location: str) -> None:
        """What Velero's sync brings."""
        self.kube.put(BACKUPS, "b", {"storageLocation": location}, labels={"velero.io/storage-location": location})
        self.kube.objects[BACKUPS.plural, "b"]["status"] = {"phase": "Completed", "startTimestamp": NOW.isoformat()}

    def users(self, name: str) -> list[str]:
        marks = (self.kube.find(LOCATIONS, name) or {}).get("metadata", {}).get("annotations", {})
        return sorted(key.rpartition(".")[2] for key in marks if "used-by" in key)


@pytest.fixture
def desk():
    return Desk()


def command(operation="op1", **more):
    of = {"cluster": "eu1", "startedAt": NOW}
    return restore_command(operation, cluster="us1", source=of, mirror=SPEC, **more)


SECRET = {"credential": {"key": "k", "box": b"x"}}


# ---------------------------------------------------------------------- the way to the backup


async def test_a_mirror_that_is_gone_before_it_is_joined_is_looked_for_again(desk):
    desk.mirror(OTHER, "op2")
    desk.kube.refuses["patch", LOCATIONS.plural] = NotFoundError("gone")
    assert "changed meanwhile" in await desk.look(command())
    desk.kube.refuses.clear()
    await desk.kube.delete(LOCATIONS, OTHER)
    await desk.look(command())
    assert desk.kube.names(LOCATIONS) == [OWN]


async def test_another_restores_mirror_that_turns_bad_is_given_up_for_one_of_its_own(desk):
    order = command(**SECRET)
    desk.mirror(OTHER, "op2", phase="")
    assert "cannot use storage location leeward-mirror-op2 yet" in await desk.look(order)
    assert desk.users(OTHER) == ["op1", "op2"]
    desk.turn(OTHER, "Unavailable")
    await desk.look(order, 2)
    assert desk.kube.names(LOCATIONS) == [OWN, OTHER]
    assert (desk.users(OWN), desk.users(OTHER)) == (["op1"], ["op2"])
    assert "Velero cannot use storage location leeward-mirror-op2 any more. Makes the" in desk.stream.details("op1")[-1]


async def test_whoever_gives_up_a_mirror_last_removes_it(desk):
    desk.mirror(OTHER, "op2", phase="")
    await desk.look(command())
    await desk.kube.patch(LOCATIONS, OTHER, {"metadata": {"annotations": {"leeward.dev/used-by.op2": None}}})
    desk.turn(OTHER, "Unavailable")
    await desk.look(command(), 2)
    assert desk.kube.names(LOCATIONS) == [OWN]


async def test_a_location_that_cannot_be_used_at_one_look_is_waited_for(desk):
    order = command(**SECRET)
    desk.location("theirs")
    assert "has not found backup b yet" in await desk.look(order)
    desk.turn("theirs", "Unavailable")
    assert "cannot use storage location theirs yet" in await desk.look(order, after=10)
    desk.turn("theirs", "Available")
    desk.copy("theirs")
    await desk.look(order)
    assert desk.kube.names(RESTORES) == ["back"]
    assert desk.kube.names(LOCATIONS) == ["theirs"]


async def test_a_location_that_can_never_be_used_again_is_told_as_that(desk):
    desk.location("theirs")
    await desk.look(command(**SECRET))
    desk.turn("theirs", "Unavailable")
    assert await desk.look(command(**SECRET), after=101) == "rejected"
    assert "storage location theirs: Velero gives no reason" in desk.refusal().detail


async def test_a_backup_of_the_targets_own_is_never_taken_for_it(desk):
    desk.location("default", mode="ReadWrite")
    desk.copy("default")
    desk.kube.objects[BACKUPS.plural, "b"]["metadata"]["labels"] |= {
        "leeward.dev/cluster": "us1",
        "leeward.dev/operation-id": "slot",
    }
    assert await desk.look(command()) == "rejected"
    assert desk.refusal().code == "BackupHidden"
    assert desk.kube.names(RESTORES) == []


@pytest.mark.parametrize("ahead", [-3600, 3600])
async def test_how_long_it_is_waited_does_not_depend_on_the_clock_of_the_cluster(desk, ahead):
    await desk.look(command())
    made = (NOW + timedelta(seconds=ahead)).isoformat()
    desk.kube.objects[LOCATIONS.plural, OWN]["metadata"]["creationTimestamp"] = made
    assert "cannot use" in await desk.look(command(), after=59)
    assert await desk.look(command(), 2, after=2) == "rejected"
    assert "Velero has not looked at it within 1 min" in desk.refusal().detail


async def test_a_mirror_that_could_not_be_made_for_long_has_its_time_nevertheless(desk):
    desk.kube.refuses["create", LOCATIONS.plural] = InternalError("a webhook broke")
    assert "webhook" in await desk.look(command())
    desk.kube.refuses.clear()
    assert "cannot use" in await desk.look(command(), after=600)
    assert "cannot use" in await desk.look(command(), after=59)
    assert desk.stream.details("op1")[-1].endswith("Begun anew at 12:10:00Z.")
    assert await desk.look(command(), after=2) == "rejected"


WEBHOOK = InternalError('failed calling webhook "policy.example"')
RULES = {
    "modifiers": {"resourceModifierRules": [{"conditions": {"groupResource": "pods"}, "mergePatches": [{"patchData": "{}"}]}]}
}


async def reached(desk, **more):
    """The mirror is there and can be used, and the backup has been found: the Restore is next."""
    await desk.look(command(**more))
    desk.turn(OWN, "Available")
    desk.copy(OWN)


async def keep_looking(desk, order, seconds, every=20):
    """Look again and again for so long; return what the last look came to."""
    waits = ""
    for _ in range(0, seconds, every):
        waits = await desk.look(order, after=every)
    return waits


@pytest.mark.parametrize("refused", [("create", SECRETS), ("create", LOCATIONS), ("create", RESTORES), ("create", CONFIG_MAPS)])
async def test_an_api_server_that_fails_at_what_is_made_is_borne_for_a_while(desk, refused):
    verb, kind = refused
    order = command(**SECRET, **RULES)
    if kind in {RESTORES, CONFIG_MAPS}:
        await reached(desk, **SECRET, **RULES)
    desk.kube.refuses[verb, kind.plural] = WEBHOOK
    await desk.look(order)
    told = desk.stream.details("op1")[-1]
    assert "fails" not in told, "what is over in a moment is not told"
    await keep_looking(desk, order, 80)
    told = desk.stream.details("op1")[-1]
    assert "The API server fails at it since 12:00:" in told
    assert "and is asked again for up to 90 s: " in told
    assert (WEBHOOK.args[0] in told) == (kind != SECRETS), "of a Secret nothing is repeated"
    assert await keep_looking(desk, order, 40) == "rejected"
    assert desk.stream.details("op1")[-2] == told
    no = desk.refusal()
    assert (no.code, WEBHOOK.args[0] in no.detail) == ("ClusterFails", kind != SECRETS)
    left = [desk.kube.names(each) for each in (LOCATIONS, SECRETS, BACKUPS, RESTORES, CONFIG_MAPS)]
    assert left == [[]] * 5
    assert desk.struggles == {}


async def test_an_api_server_that_fails_now_and_then_ends_nothing(desk):
    desk.kube.refuses["create", LOCATIONS.plural] = desk.kube.refuses["create", RESTORES.plural] = WEBHOOK
    await keep_looking(desk, command(), 80)
    del desk.kube.refuses["create", LOCATIONS.plural]
    assert "cannot use" in await desk.look(command(), after=2)
    assert desk.stream.details("op1")[-1].endswith("Goes on since 12:01:22Z.")
    desk.turn(OWN, "Available")
    desk.copy(OWN)
    await keep_looking(desk, command(), 100)
    assert "fails at it" in desk.stream.details("op1")[-1]
    desk.kube.refuses.clear()
    assert "goes on" in await desk.look(command(), after=2)
    assert desk.stream.details("op1")[-1].endswith("waits until it has ended. Goes on since 12:03:04Z.")
    assert desk.stream.verbs("op1")[-1] == "accepted"


async def test_what_is_looked_for_is_not_waited_for_longer_because_looks_fail(desk):
    await desk.look(command())
    desk.turn(OWN, "Available")
    for _ in range(3):
        desk.kube.refuses["get", BACKUPS.plural] = WEBHOOK
        await keep_looking(desk, command(), 30, every=10)
        desk.kube.refuses.clear()
        await desk.look(command(), after=1)
    assert "has not found" in await desk.look(command(), after=37)
    assert await desk.look(command(), 2, after=2) == "rejected"
    assert desk.refusal().code == "BackupNotFoundThere"
    assert max(map(len, desk.stream.details("op1"))) < 300


async def test_time_in_which_nobody_tried_does_not_count(desk):
    await reached(desk)
    desk.kube.refuses["create", RESTORES.plural] = WEBHOOK
    await keep_looking(desk, command(), 60)
    assert "webhook" in await desk.look(command(), after=600)
    assert "webhook" in await keep_looking(desk, command(), 80)
    assert await keep_looking(desk, command(), 40) == "rejected"


async def test_a_restore_that_was_made_although_the_api_server_failed_is_carried_on(desk):
    await reached(desk)
    desk.kube.refuses["create", RESTORES.plural] = WEBHOOK
    await keep_looking(desk, command(), 100)
    desk.kube.refuses.clear()
    desk.kube.breaks["create", RESTORES.plural] = InternalError("etcdserver: request timed out")
    assert "goes on" in await desk.look(command(), after=30)
    assert desk.stream.verbs("op1")[-1] == "accepted"
    assert desk.kube.names(RESTORES) == ["back"]


async def test_while_nobody_can_see_whether_it_was_made_it_is_not_refused(desk, monkeypatch):
    await reached(desk)
    desk.kube.refuses["create", RESTORES.plural] = WEBHOOK
    await keep_looking(desk, command(), 100)
    desk.kube.refuses.clear()
    desk.kube.breaks["create", RESTORES.plural] = WEBHOOK
    get = desk.kube.get

    async def lost(kind, name):
        if kind == RESTORES and desk.kube.find(kind, name):
            raise InternalError("etcdserver: no leader")
        return await get(kind, name)

    with monkeypatch.context() as changed:
        changed.setattr(desk.kube, "get", lost)
        assert "no leader" in await desk.look(command(), after=20)
        assert "no leader" in await keep_looking(desk, command(), 400)
        assert desk.stream.verbs("op1")[-1] == "Restore"
        assert desk.kube.names(LOCATIONS) == [OWN]
    assert "goes on" in await desk.look(command())
    assert desk.stream.verbs("op1")[-1] == "accepted"


async def test_what_cannot_be_seen_of_the_mirror_is_cleaned_up_for_a_while(desk, monkeypatch):
    await restored(desk)

    async def denied(kind, _labels=""):
        raise ForbiddenError(f"{kind.plural}: not you")

    monkeypatch.setattr(desk.kube, "list", denied)
    assert "not gone yet" in await desk.look(command())
    assert await desk.look(command(), after=31) == "finished"
    assert "not gone: ForbiddenError" in desk.stream.data("op1", "finished").detail


async def test_rules_whose_restore_somebody_has_removed_go(desk):
    await restored(desk, **RULES)
    del desk.kube.objects[RESTORES.plural, "back"]
    assert await desk.look(command(**RULES), 5) == "finished"
    assert desk.kube.names(CONFIG_MAPS) == []


async def test_restores_that_wait_for_each_others_writes_are_given_up_too(desk):
    await reached(desk)
    desk.kube.refuses["create", RESTORES.plural] = WEBHOOK
    slow = desk.kube.create

    async def create(kind, body):
        desk.now += timedelta(seconds=30 if kind == RESTORES else 0)  # the webhook takes its time
        return await slow(kind, body)

    desk.kube.create = create
    ports, orders = desk.ports(), [command("op1"), command("op2", name="other", spec={"namespaceMapping": {"shop": "two"}})]
    for _ in range(4):
        await asyncio.gather(*(cross(ports, order) for order in orders), return_exceptions=True)
    for operation in ("op1", "op2"):
        assert "fails at it" in " ".join(desk.stream.details(operation))
        assert desk.stream.data(operation, "rejected").refusal.code == "ClusterFails"


async def test_velero_has_a_moment_to_hear_of_rules_before_it_hears_of_their_restore(desk):
    await reached(desk, **RULES)
    began, slow = {}, desk.kube.create

    async def create(kind, body):
        began[kind] = time.monotonic()
        return await slow(kind, body)

    desk.kube.create = create
    ports = replace(desk.ports(), heard=0.2)
    with pytest.raises(Retry, match="back"):
        await cross(ports, command(**RULES))
    assert began[RESTORES] - began[CONFIG_MAPS] >= 0.2


@pytest.mark.parametrize("no", [WEBHOOK, ForbiddenError("denied the request")], ids=["fails", "denies"])
async def test_rules_that_cannot_be_tied_to_their_restore_end_nothing_and_are_tied_later(desk, no):
    desk.kube.refuses["patch", CONFIG_MAPS.plural] = no
    await restored(desk, **RULES)
    assert "accepted" in desk.stream.verbs("op1")
    (rules,) = desk.kube.names(CONFIG_MAPS)
    assert "ownerReferences" not in desk.kube.find(CONFIG_MAPS, rules)["metadata"]
    desk.kube.refuses.clear()
    assert await desk.look(command(**RULES), 5) == "finished"
    assert [x["name"] for x in desk.kube.find(CONFIG_MAPS, rules)["metadata"]["ownerReferences"]] == ["back"]


async def test_a_mirror_that_was_made_after_failures_has_its_time_whoever_looks_next(desk):
    desk.kube.refuses["create", LOCATIONS.plural] = WEBHOOK
    await keep_looking(desk, command(), 60)
    desk.kube.refuses.clear()
    desk.kube.end(0, after=True)  # the process dies when it has made it, and has told nothing of that
    with pytest.raises(Ended):
        await desk.look(command())
    desk.struggles.clear()
    assert "cannot use" in await desk.look(command(), after=59)
    assert desk.stream.details("op1")[-1].endswith("Goes on since 12:01:59Z.")
    assert "cannot use" in await desk.look(command(), after=59)
    assert await desk.look(command(), 2, after=2) == "rejected"


async def test_a_mirror_that_somebody_removes_again_and_again_is_given_up(desk):
    for _ in range(3):
        assert "cannot use" in await desk.look(command(), after=40)
        del desk.kube.objects[LOCATIONS.plural, OWN]
    assert await desk.look(command()) == "rejected"
    assert "somebody removes it again and again" in desk.refusal().detail


async def test_a_mirror_that_somebody_leads_elsewhere_is_given_up(desk):
    await desk.look(command())
    desk.kube.objects[LOCATIONS.plural, OWN]["spec"]["objectStorage"]["bucket"] = "other"
    assert await desk.look(command(), 2) == "rejected"
    assert "somebody has changed it" in desk.refusal().detail
    assert desk.kube.names(LOCATIONS) == []


async def test_what_was_begun_in_time_outlives_its_deadline(desk):
    desk.kube.refuses["create", LOCATIONS.plural] = InternalError("a webhook broke")
    order = command(expires_in=60)
    await desk.look(order)
    assert "webhook" in await desk.look(order, after=61)
    desk.kube.refuses.clear()
    await desk.look(order)
    assert desk.kube.names(LOCATIONS) == [OWN]
    assert await desk.look(command("op2", expires_in=60)) == "rejected"


# ---------------------------------------------------------------------- copies without a mirror


async def test_a_copy_whose_mirror_is_gone_makes_way(desk):
    desk.copy("leeward-mirror-gone")
    await desk.look(command())
    assert desk.kube.names(BACKUPS) == []
    desk.turn(OWN, "Available")
    desk.copy(OWN)
    await desk.look(command())
    assert desk.kube.names(RESTORES) == ["back"]


async def test_a_copy_whose_mirror_is_gone_goes_with_the_clean_up_of_any(desk):
    await restored(desk)
    desk.copy("leeward-mirror-gone")
    assert await desk.look(command(), 5) == "finished"
    assert (desk.kube.names(BACKUPS), desk.kube.names(LOCATIONS)) == ([], [])


# ---------------------------------------------------------------------- the end


async def restored(desk, **more):
    await desk.look(command(**more))
    desk.turn(OWN, "Available")
    desk.copy(OWN)
    await desk.look(command(**more))
    desk.turn("back", "Completed", RESTORES)
    desk.stream.measures[desk.kube.find(RESTORES, "back")["metadata"]["uid"]] = "Completed"


async def test_what_is_left_of_one_that_comes_to_nothing_is_told_and_swept_up_later(desk):
    await desk.look(command(**SECRET))
    desk.kube.refuses["delete", LOCATIONS.plural] = ForbiddenError("not you")
    await desk.look(command(**SECRET), after=61)
    assert "not gone yet" in await desk.look(command(**SECRET), after=20)
    assert await desk.look(command(**SECRET), after=20) == "rejected"
    no = desk.refusal()
    assert (no.code, "What was made for it is not gone: ForbiddenError: not you" in no.detail) == ("MirrorFailed", True)
    assert not await sweep(desk.ports())
    desk.kube.refuses.clear()
    assert await sweep(desk.ports())
    assert (desk.kube.names(LOCATIONS), desk.kube.names(SECRETS)) == ([], [])


async def test_it_is_cleaned_up_even_if_what_was_told_is_lost(desk):
    await desk.look(command(**SECRET))
    desk.copy(OWN)
    desk.stream.last.clear()
    assert await desk.look(command(**SECRET), 5, after=3601) == "rejected"
    assert desk.refusal().code == "DeadlineExceeded"
    assert [desk.kube.names(kind) for kind in (LOCATIONS, SECRETS, BACKUPS)] == [[], [], []]


async def test_where_nothing_may_be_looked_at_nothing_is_waited_for(desk):
    async def forbidden(*_: Any) -> Any:
        raise ForbiddenError("not you")

    desk.kube.list = forbidden
    assert await desk.look(command()) == "rejected"
    assert desk.refusal().code == "ForbiddenInCluster"


async def test_somebody_elses_restore_of_the_copy_is_waited_for_only_so_long(desk):
    await restored(desk)
    desk.kube.put(RESTORES, "theirs", {"backupName": "b"})
    assert "restore theirs still reads backup b" in await desk.look(command())
    assert await desk.look(command(), after=31) == "finished"
    told = desk.stream.data("op1", "finished")
    assert told.succeeded
    assert told.detail.endswith("What was made for it is not gone: restore theirs still reads backup b")
    assert not await sweep(desk.ports())
    assert desk.kube.names(LOCATIONS) == [OWN]
    desk.turn("theirs", "Completed", RESTORES)
    while not await sweep(desk.ports()):
        pass
    assert (desk.kube.names(LOCATIONS), desk.kube.names(BACKUPS)) == ([], [])


# ---------------------------------------------------------------------- sweeping


async def test_only_what_nobody_needs_is_swept(desk):
    for operation in ("op1", "op3"):
        await desk.look(command(operation, expires_in=-1))
    desk.mirror("leeward-mirror-old", "op1", "op3")
    desk.mirror("leeward-mirror-shared", "op1", "op2")
    desk.location("leeward-mirror-theirs")
    assert await sweep(desk.ports())
    assert desk.kube.names(LOCATIONS) == ["leeward-mirror-shared", "leeward-mirror-theirs"]


async def test_copies_are_swept_but_not_while_a_restore_reads_them(desk):
    desk.copy("leeward-mirror-gone")
    desk.kube.put(RESTORES, "theirs", {"backupName": "b"})
    assert not await sweep(desk.ports())
    desk.turn("theirs", "Completed", RESTORES)
    assert await sweep(desk.ports())
    assert desk.kube.names(BACKUPS) == []
    desk.copy("theirs")
    assert await sweep(desk.ports())
    assert desk.kube.names(BACKUPS) == ["b"], "what lies in no mirror is nobody's to remove"
