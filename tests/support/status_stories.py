"""Stories that clusters tell, as lists of messages: for tests of order, repetition and loss."""

from datetime import timedelta

from shared.contracts import ids
from shared.contracts.events import Cause, RestoreCounts, Volume
from tests.support.messages import NOW
from tests.support.status_messages import (
    STARTED,
    accepted,
    as_observed,
    backup,
    captured,
    command,
    delete_command,
    deletion,
    deletion_accepted,
    deletion_seen,
    finished,
    inventory,
    location,
    location_accepted,
    location_command,
    measured,
    observed,
    ours,
    presence,
    rejected,
    snapshot,
    snapshot_location,
)
from tests.support.status_restores import (
    mine,
    removal_command,
    restore,
    restore_accepted,
    restore_captured,
    restore_command,
    restore_measured,
)
from tests.support.status_restores import seen as restore_seen
from tests.support.status_restores import step as told_step
from tests.support.status_schedules import schedule_seen, velero_schedule
from tests.support.transcripts import names, transcript

DONE = {"startTimestamp": STARTED, "expiration": "2026-11-23T11:59:00Z"}
AFTER = timedelta(seconds=5)
PLACE = {"provider": "aws", "objectStorage": {"bucket": "b"}, "accessMode": "ReadOnly"}


def one_life():
    """A backup that was asked for, ran, vanished, was synced again; in a cluster that speaks."""
    mine = {"labels": ours("op1")}
    return [
        command(),
        accepted(backup("u1", 10, **mine)),
        observed(backup("u1", 10, **mine), at=NOW + AFTER),
        observed(backup("u1", 11, "InProgress", startTimestamp=STARTED, **mine)),
        observed(backup("u1", 12, "Completed", **DONE, **mine)),
        snapshot(["u1"], rv=12, at=NOW + AFTER),
        snapshot([], rv=13, at=NOW + 2 * AFTER),
        observed(backup("u2", 15, "Completed", **DONE, **mine)),
        snapshot(["u2"], rv=20, at=NOW + 3 * AFTER),
        presence(),
        presence(NOW + AFTER),
    ]


def external_lives():
    """Backups made past Leeward: started, deleted, the name used again; the location turns read-only; etcd is restored."""
    return [
        observed(backup("u1", 1)),
        observed(backup("u1", 2, "New"), at=NOW + AFTER),
        observed(backup("u1", 3, "InProgress", startTimestamp=STARTED)),
        observed(backup("u1", 4, "Failed", **DONE)),
        observed(backup("u1", 5, "Deleting", **DONE)),
        observed(backup("u1", 6, "Deleting", deleted=True, **DONE), at=NOW + AFTER),
        observed(backup("u2", 7, "Completed", startTimestamp="2026-11-22T12:30:00Z")),
        observed(backup("u3", 8, "Completed", name="other", startTimestamp=STARTED)),
        snapshot(["u2"], epoch=2, rv=3, at=NOW + 2 * AFTER),
        snapshot(["u2"], epoch=2, rv=4, at=NOW + 3 * AFTER, from_uid="u2"),
        observed(backup("u2", 2, "Completed", epoch=2, startTimestamp="2026-11-22T12:30:00Z")),
        observed(location(rv=1), noun="location"),
        observed(location(rv=2, mode="ReadOnly"), noun="location"),
    ]


def refusals():
    """Two requests: one refused, one refused and then, by another executor, done."""
    return [
        command("op1", name="a"),
        rejected(operation="op1"),
        rejected(operation="op1", at=NOW + AFTER),
        command("op2", name="b"),
        rejected("DeadlineExceeded", operation="op2"),
        accepted(backup("u9", 3, name="b", labels=ours("op2")), operation="op2"),
        observed(backup("u9", 4, "PartiallyFailed", name="b", labels=ours("op2"), errors=2)),
    ]


def copied_and_stripped():
    """A backup that was copied under another name, labels and all, and then lost its own labels; and one that never had any."""
    marks = {"labels": ours("op1"), "annotations": {"leeward.dev/name": "shop"}}
    return [
        command(),
        accepted(backup("u1", 10, **marks)),
        observed(backup("u1", 11, "InProgress", startTimestamp=STARTED, **marks)),
        observed(backup("u1", 12, "Completed", **DONE)),
        observed(backup("u1", 13, "Completed", labels=ours("op9"), **DONE)),
        observed(backup("u2", 20, "Failed", name="shop-copy", startTimestamp="2026-11-22T12:30:00Z", **marks)),
        command("op2", name="bare"),
        accepted(backup("u3", 30, name="bare"), "op2"),
        observed(backup("u3", 30, name="bare")),
        observed(backup("u3", 31, "Completed", name="bare", startTimestamp=STARTED)),
    ]


def deletions():
    """A backup whose deletion failed and was asked for again."""
    mine = {"labels": ours("op1"), **DONE}
    second = {"operation": "del2", "uid": "d2", "created": "2026-11-22T12:10:00Z"}
    return [
        command(),
        accepted(backup("u1", 10, labels=ours("op1"))),
        observed(backup("u1", 12, "Completed", **mine)),
        delete_command(),
        deletion_accepted(deletion(rv=20)),
        observed(backup("u1", 21, "Deleting", **mine)),
        deletion_seen(deletion(rv=22, phase="Processed", errors=["bucket on fire"])),
        delete_command("del2"),
        deletion_accepted(deletion(rv=30, **second), "del2"),
        deletion_seen(deletion(rv=22, phase="Processed", errors=["bucket on fire"], deleted=True), at=NOW + AFTER),
        observed(backup("u1", 31, "Deleting", deleted=True, **mine), at=NOW + AFTER),
        deletion_seen(deletion(rv=32, phase="Processed", deleted=True, **second), at=NOW + AFTER),
    ]


def deleted_by_a_former_id():
    """A backup made past Leeward whose deletion was asked for before it started, under the id that it had then."""
    before = ids.unstarted_backup_id("eu1", "velero", "other", "u5")
    other = {"name": "other", "startTimestamp": STARTED}
    third = {"operation": "del3", "uid": "d3", "backup": before, "of": "u5", "name": "other"}
    return [
        observed(backup("u5", 40, name="other")),
        delete_command("del3", before, name="other"),
        deletion_accepted(deletion(rv=41, **third), "del3"),
        observed(backup("u5", 42, "InProgress", **other)),
        deletion_seen(deletion(rv=43, phase="Processed", errors=["backup is still in progress"], **third)),
        observed(backup("u5", 44, "Failed", **other)),
        deletion_seen(deletion("d9", rv=45, backup=None, of="u5", name="other")),
        snapshot(["d3"], rv=60, noun="deletion", at=NOW + 2 * AFTER),
    ]


def measurements():
    """A backup of ours that Failed, then Completed after all, and one made past Leeward; each looked into twice."""
    failed = backup("u1", 11, "Failed", labels=ours("op1"), startTimestamp=STARTED, failureReason="restarted")
    done = backup("u1", 12, "Completed", labels=ours("op1"), startTimestamp=STARTED)
    other = backup("u2", 20, "PartiallyFailed", name="other", startTimestamp=STARTED, errors=3)
    return [
        command(),
        accepted(backup("u1", 10, labels=ours("op1"))),
        observed(failed),
        captured("u1", "log", data=b"broken", sequence=4),
        measured(failed, sequence=5, metadata_bytes=1, causes=[Cause(message="restarted", count=1)]),
        observed(done),
        captured("u1", "log", data=b"whole", sequence=7),
        measured(done, sequence=8, at=NOW + AFTER, metadata_bytes=100, volume_bytes=0, volumes=[]),
        observed(other),
        measured(other, sequence=20, metadata_bytes=5),
        measured(other, sequence=21, metadata_bytes=7, volume_bytes=3, volumes=[Volume(claim="data", size_bytes=3)]),
        captured("u2", "results", 1, 2, sequence=19),
        captured("u2", "results", 0, 2, sequence=18),
    ]


def restores():
    """Restores: from another cluster, stripped of its labels and deleted; vanished; failed and not deleted in time; refused."""
    there = {"source": {"id": "b1", "name": "shop", "cluster": "us1"}, "mirror": PLACE}
    bare, done = restore("r1", 13, "Completed", warnings=1), mine("Completed", 12)
    other = restore("r2", 20, "InProgress", name="other")
    failed = mine("Failed", 31, "re3", uid="r3", name="third", failureReason="restarted")
    return [
        restore_command(**there),
        told_step("MirrorLocation", "makes one"),
        told_step("FindBackup", "waits", at=NOW + AFTER),
        restore_accepted(mine()),
        restore_seen(mine("InProgress", 11)),
        restore_seen(done),
        restore_seen(bare),
        restore_measured(done, counts=RestoreCounts(created=3)),
        restore_captured(),
        finished("re1"),
        removal_command(),
        finished("del1"),
        snapshot(["r2", "r3"], rv=19, noun="restore", at=NOW + 2 * AFTER),
        restore_seen(other),
        restore_measured(restore("r2", 21, "PartiallyFailed", name="other"), sequence=9),
        snapshot(["r3"], rv=32, noun="restore", at=NOW + 3 * AFTER),
        restore_command("re3", name="third"),
        restore_accepted(mine(None, 30, "re3", uid="r3", name="third"), "re3"),
        restore_seen(failed),
        removal_command("del3", "re3"),
        rejected("RestoreNotDeleted", operation="del3"),
        restore_command("re4", name="fourth"),
        rejected("BackupGone", operation="re4"),
    ]


def places():
    """Locations of both kinds that are made, changed and removed, and a cluster that writes into one place twice."""
    return [
        location_command("location", "apply", "lo1"),
        location_accepted("location", location(rv=2, phase=None), "lo1"),
        observed(location(rv=3), noun="location"),
        observed(location("l2", 4, name="other"), noun="location"),
        presence(),
        location_command("location", "delete", "lo2", name="other"),
        finished("lo2"),
        observed(location("l2", 4, name="other", deleted=True), noun="location", at=NOW + AFTER),
        location_command("snapshotlocation", "apply", "sl1"),
        location_accepted("snapshotlocation", snapshot_location(), "sl1"),
        location_command("snapshotlocation", "apply", "sl2"),
        rejected("LocationChanged", operation="sl2"),
        snapshot([], noun="snapshotlocation", at=NOW + 2 * AFTER),
    ]


def velero_schedules():
    """Two Schedules of Velero's own, one of which comes back under its name, and the backups that they made."""
    weekly, hourly = {"labels": {"velero.io/schedule-name": "weekly"}}, {"labels": {"velero.io/schedule-name": "hourly"}}
    second = {"created": "2026-11-22T12:29:59Z", "startTimestamp": "2026-11-22T12:30:00Z"}
    return [
        schedule_seen(velero_schedule("v1", 1)),
        observed(backup("u1", 2, **weekly)),
        observed(backup("u1", 3, "InProgress", startTimestamp=STARTED, **weekly)),
        observed(backup("u1", 4, "Completed", startTimestamp=STARTED, **weekly)),
        schedule_seen(velero_schedule("v1", 5, deleted=True)),
        schedule_seen(velero_schedule("v2", 6, "FailedValidation", validationErrors=["bad cron"])),
        observed(backup("u2", 7, "Failed", name="other", **second, **weekly)),
        observed(backup("u2", 8, "Deleting", name="other", deleted=True, **second, **weekly)),
        schedule_seen(velero_schedule("v3", 9, name="hourly", spec={"paused": True})),
        observed(backup("u3", 10, "PartiallyFailed", name="third", startTimestamp=STARTED, **hourly)),
    ]


def wrong_clocks():
    """A cluster whose executor's clock is an hour ahead, then right, then two minutes behind."""
    hour, behind = timedelta(hours=1), timedelta(minutes=2)
    stories = [
        (presence(NOW + hour, velero_problem="gone"), NOW),
        (inventory(NOW + hour, "v1.33"), NOW),
        (presence(NOW + AFTER), NOW + AFTER),
        (inventory(NOW + AFTER, "v1.34"), NOW + AFTER),
        (presence(NOW + 2 * AFTER - behind, velero_problem="slow"), NOW + 2 * AFTER),
        (inventory(NOW + 2 * AFTER - behind, "v1.35"), NOW + 2 * AFTER),
        (observed(backup(rv=2, phase="Completed", labels=ours("op1")), at=NOW + hour), NOW),
        (observed(backup(rv=2, phase="Completed", labels=ours("op1")), at=NOW), NOW + AFTER),
        (snapshot([], at=NOW + hour), NOW + 2 * AFTER),
    ]
    return [(*message, stored_at) for message, stored_at in stories]


def told(name):
    """A transcript of a real Velero, and in the end a snapshot of what exists."""
    messages = [as_observed(seen) for seen in transcript(name)]
    present = {seen.object["metadata"]["uid"] for seen in transcript(name)}
    present -= {seen.object["metadata"]["uid"] for seen in transcript(name) if seen.type == "DELETED"}
    return [*messages, snapshot(sorted(present), rv=10**9, at=NOW + timedelta(hours=1))]


OWN_STORIES = ["one life", "external lives", "refusals", "copied and stripped", "deletions", "former id", "measurements"]
OWN_STORIES += ["velero schedules", "restores", "places"]
STORIES = {"deletions": deletions, "former id": deleted_by_a_former_id, "measurements": measurements}
STORIES |= {"velero schedules": velero_schedules, "restores": restores, "places": places}
STORIES |= {"one life": one_life, "external lives": external_lives, "refusals": refusals}
STORIES |= {"copied and stripped": copied_and_stripped, "wrong clocks": wrong_clocks}
STORIES |= {name: lambda name=name: told(name) for name in names()}
