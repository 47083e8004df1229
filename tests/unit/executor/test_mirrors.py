"""Which storage location another cluster's backup is read through, and who else reads through it."""

from datetime import timedelta

import pytest

from services.executor.restores import mirrors
from services.executor.restores.mirrors import Standing
from shared.contracts.ids import started_backup_id
from shared.contracts.names import ANNOTATION_LEAVING
from tests.support.messages import NOW, restore_command

WANTED = {"provider": "aws", "objectStorage": {"bucket": "b", "prefix": "p"}, "config": {"s3Url": "http://one"}}
ORDER = restore_command("op1", mirror=WANTED, source={"startedAt": NOW, "cluster": "us1"})


def location(
    name,
    *,
    phase="Available",
    bucket="b",
    prefix="p",
    provider="velero.io/aws",
    mode="ReadWrite",
    labels=None,
    annotations=None,
):
    meta = {"name": name, "resourceVersion": "1", "labels": labels or {}, "annotations": annotations or {}}
    spec = {"provider": provider, "objectStorage": {"bucket": bucket, "prefix": prefix}, "config": {"s3Url": "http://two"}}
    spec["accessMode"] = mode
    return {"metadata": meta, "spec": spec, "status": {"phase": phase}}


def made(name, *users, leaving=False, cluster="eu1", **more):
    notes = {f"leeward.dev/used-by.{user}": f"r-{user}" for user in users} | ({ANNOTATION_LEAVING: "true"} if leaving else {})
    labels = {"leeward.dev/mirror-of": "us1", "leeward.dev/cluster": cluster}
    return location(name, labels=labels, annotations=notes, **more)


THEIRS, BROKEN = location("theirs"), location("broken", phase="Unavailable")
READABLE, UNREADABLE = (location("readable", phase=phase, mode="ReadOnly") for phase in ("Available", "Unavailable"))
CHOICES = {
    "none": ([], None),
    "another bucket": ([location("x", bucket="c"), location("y", prefix=""), location("z", provider="gcp")], None),
    "a person's, whatever its URL": ([THEIRS], "theirs"),
    "slashes around the prefix": ([location("theirs", prefix="/p/")], "theirs"),
    "one that can be used before one that cannot": ([BROKEN, THEIRS], "theirs"),
    "one that cannot, where there is no credential": ([BROKEN], "broken"),
    "a person's before another restore's": ([made("m", "op2"), THEIRS], "theirs"),
    "another restore's before one that cannot be used": ([made("m", "op2"), BROKEN], "m"),
    "never one that is leaving": ([made("m", "op2", leaving=True)], None),
    "never another restore's that cannot be used": ([made("m", "op2", phase="Unavailable")], None),
    "another restore's that Velero has not looked at": ([made("m", "op2", phase="")], "m"),
    "the one that was chosen": ([THEIRS, made("m", "op1", "op2", phase="Unavailable")], "m"),
    "a person's that carries marks of another cluster": ([made("m", "op1", cluster="us1")], "m"),
}


@pytest.mark.parametrize(("locations", "name"), CHOICES.values(), ids=CHOICES.keys())
def test_one_that_reaches_the_backup_is_chosen(locations, name):
    for order in (locations, locations[::-1]):
        chosen = mirrors.choose(ORDER, order)
        assert (chosen and chosen["metadata"]["name"]) == name


SAID = {
    "none that cannot be used": ([UNREADABLE], None),
    "one that can": ([READABLE, UNREADABLE], "readable"),
    "none in which the cluster makes backups of its own": ([THEIRS, BROKEN], None),
    "another restore's": ([THEIRS, made("m", "op2")], "m"),
    "the one that was chosen": ([READABLE, made("m", "op1", phase="Unavailable")], "m"),
}


@pytest.mark.parametrize(
    "way", [{"credential": {"key": "k", "box": b"x"}}, {"storageGiven": True}], ids=["credential", "storage"]
)
@pytest.mark.parametrize(("locations", "name"), SAID.values(), ids=SAID.keys())
def test_what_a_request_says_of_the_way_counts(locations, name, way):
    chosen = mirrors.choose(restore_command("op1", mirror=WANTED, **way), locations)
    assert (chosen and chosen["metadata"]["name"]) == name


def test_one_that_was_chosen_is_kept_when_velero_cannot_use_it_for_a_moment():
    order = restore_command("op1", mirror=WANTED, credential={"key": "k", "box": b"x"})
    assert mirrors.choose(order, [UNREADABLE], begun=True) == UNREADABLE
    assert mirrors.choose(order, [], begun=True) is None


def test_another_restores_mirror_is_given_up_once_it_is_of_no_use():
    bad = made("m", "op1", "op2", phase="Unavailable")
    assert mirrors.is_given_up(bad, ORDER)
    assert mirrors.is_given_up(made("m", "op1", leaving=True), ORDER)
    assert not mirrors.is_given_up(made("m", "op1", phase=""), ORDER)
    assert not mirrors.is_given_up(made("m", "op2", phase="Unavailable"), ORDER)
    own = made("m", "op1", phase="Unavailable")
    own["metadata"]["labels"] |= {"leeward.dev/operation-id": "op1"}
    assert not mirrors.is_given_up(own, ORDER)


def copy(spot="theirs", *, started=NOW, by=None, operation="op-b", created=NOW + timedelta(minutes=5), **more):
    labels = {"leeward.dev/cluster": by, "leeward.dev/operation-id": operation} if by else {}
    meta = {"name": "b", "namespace": "velero", "labels": labels, "creationTimestamp": created.isoformat(), **more}
    return {"metadata": meta, "spec": {"storageLocation": spot}, "status": {"startTimestamp": started.isoformat()}}


STANDINGS = {
    "nothing": (None, Standing.ABSENT),
    "it": (copy(), Standing.THERE),
    "it, by its marks": (copy(by="us1"), Standing.THERE),
    "one that the target made of its own": (copy(by="eu1"), Standing.HIDDEN),
    "another one that the source made": (copy(by="us1", operation="other"), Standing.HIDDEN),
    "one that a third cluster made": (copy(by="ap1"), Standing.HIDDEN),
    "a copy of another name, whose marks are not its own": (
        copy(by="ap1", annotations={"leeward.dev/name": "c"}),
        Standing.THERE,
    ),
    "one of Velero's own in the target, of the same second": (copy(created=NOW), Standing.HIDDEN),
    "one there as early, where nothing is made": (copy("readable", created=NOW), Standing.THERE),
    "another that began later": (copy(started=NOW + timedelta(seconds=1)), Standing.HIDDEN),
    "another elsewhere": (copy("other"), Standing.HIDDEN),
    "one whose location is gone": (copy("gone"), Standing.HIDDEN),
    "one whose mirror is gone": (copy("leeward-mirror-gone"), Standing.PASSING),
    "one whose mirror is going": (copy("leeward-mirror-2"), Standing.PASSING),
    "one that has not begun": ({"metadata": {}, "spec": {"storageLocation": "theirs"}}, Standing.HIDDEN),
}


@pytest.mark.parametrize(("backup", "standing"), STANDINGS.values(), ids=STANDINGS.keys())
def test_a_backup_of_that_name_is_it_or_hides_it(backup, standing):
    there = [THEIRS, READABLE, location("other", bucket="c"), made("leeward-mirror-2", "op2", leaving=True)]
    assert mirrors.standing(ORDER, backup, there) == standing


def test_one_that_the_source_has_taken_over_is_known_by_its_start():
    known = started_backup_id("us1", "velero", "b", NOW.isoformat())
    order = restore_command("op1", mirror=WANTED, source={"startedAt": NOW, "cluster": "us1", "ids": [known]})
    assert mirrors.standing(order, copy(by="gone1"), [THEIRS]) == Standing.THERE
    assert mirrors.standing(order, copy(by="eu1"), [THEIRS]) == Standing.HIDDEN


def test_only_copies_are_copies():
    assert mirrors.is_copy(copy("m"), "m")
    assert not mirrors.is_copy(copy("m"), "n")
    assert not mirrors.is_copy({"spec": {"storageLocation": "m"}, "status": {"phase": "FailedValidation"}}, "m")


def test_a_mirror_is_marked_by_those_who_use_it():
    mirror = made("m", "op1", "op2")
    assert mirrors.others(mirror, ORDER) == ["r-op2"]
    assert mirrors.is_used(mirror, ORDER)
    assert mirrors.users(mirror) == ["op1", "op2"]
    change = mirrors.use(mirror, ORDER, begin=False)
    assert change == {"metadata": {"resourceVersion": "1", "annotations": {"leeward.dev/used-by.op1": None}}}
    assert mirrors.leave(mirror)["spec"] == {"backupSyncPeriod": "0s"}


def test_what_velero_says_is_believed_when_it_has_looked_twice():
    mirror = made("m", "op1")
    mirror["metadata"]["creationTimestamp"] = NOW.isoformat()
    assert not mirrors.validated_again(mirror, 15)
    for seconds, believed in ((10, False), (20, True)):
        mirror["status"]["lastValidationTime"] = (NOW + timedelta(seconds=seconds)).isoformat()
        assert mirrors.validated_again(mirror, 15) is believed
