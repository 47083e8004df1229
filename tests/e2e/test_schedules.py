"""Schedules on a real Velero: slots become backups there, and what was not run says why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.product import Listener, Product, until
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import storage_location

EVERY_MINUTE = "* * * * *"


class Story:
    """One schedule, made by a person, and what there is to see of it."""

    def __init__(self, product: Product, name: str, cluster: str = "eu1", **more: Any) -> None:
        spec = {"snapshotVolumes": False, **more.pop("spec", {})}
        body = {
            "name": name,
            "cluster": cluster,
            "cron": EVERY_MINUTE,
            "template": {"scope": {"kind": "specific", "namespaces": ["default"]}, "spec": spec},
            **more,
        }
        answer = product.post("/schedules", body)
        assert answer.status_code == 201, answer.text
        self.product, self.name, self.cluster, self.id = product, name, cluster, answer.json()["id"]
        self.created = answer.json()

    def shown(self) -> dict[str, Any]:
        answer = self.product.get(f"/schedules/{self.id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ticks(self) -> list[dict[str, Any]]:
        """Every slot, the oldest first."""
        answer = self.product.get(f"/schedules/{self.id}/ticks")
        assert answer.status_code == 200, answer.text
        return list(reversed(answer.json()["items"]))

    def decided(self, count: int) -> list[dict[str, Any]]:
        """The ticks, as soon as that many slots are decided."""
        return list(
            until(f"{count} slots of {self.name}", lambda: (t := self.ticks()) and _slots(t) >= count and t, 90 * count)
        )

    def backups(self) -> list[dict[str, Any]]:
        answer = self.product.get("/backups", schedule=self.id)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    def objects(self, fleet: Fleet) -> list[dict[str, Any]]:
        """Its Backups as the cluster has them."""
        found = fleet[self.cluster].api.get(velero_path("backups"), labelSelector=f"leeward.dev/schedule-id={self.id}")
        return list(found["items"])


def _changes(heard: Listener, story: Story) -> list[str]:
    """The statuses that the event stream told of a schedule, in order; what is not stored is progress, not a change."""
    return [item["status"] for _, stored, item in list(heard.events) if stored and item["id"] == story.id]


def _slots(ticks: list[dict[str, Any]]) -> int:
    return sum(tick["count"] for tick in ticks)


def _act(product: Product, story: Story, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = product.post(f"/schedules/{story.id}/{verb}", body or {})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def stories(product: Product, fleet: Fleet) -> Iterator[dict[str, Story]]:
    """Schedules of which two slots have passed; Velero of us1 was stopped for both of them."""
    fleet["us1"].stop_velero()
    try:
        told = {
            "fires": Story(product, "fires"),
            "paused": Story(product, "rests", paused=True),
            "skipped": Story(product, "skips", skipNext=1),
            "overlaps": Story(product, "overlaps", "us1"),
            "broken": Story(product, "broken", spec={"storageLocation": "nowhere"}),
        }
        for story in told.values():
            story.decided(2)
        until("the second of them was answered, while the first cannot end", lambda: told["overlaps"].ticks()[1]["result"])
    finally:
        fleet["us1"].start_velero()
    yield told
    for story in told.values():
        product.delete(f"/schedules/{story.id}")


def test_a_slot_becomes_a_backup_that_velero_knows_by_its_schedule(product: Product, fleet: Fleet, stories) -> None:
    story = stories["fires"]
    first = story.ticks()[0]
    slot = datetime.fromisoformat(first["from"])
    assert (first["decision"], first["result"]) == ("Triggered", "Accepted")
    backup = product.ended(first["backup"]["id"])
    assert backup["name"] == f"fires-{slot.astimezone(UTC):%Y%m%d%H%M%S}"
    assert (backup["outcome"], backup["createdBy"]) == ("Completed", {"kind": "Schedule", "name": "fires"})
    made = next(each for each in story.objects(fleet) if each["metadata"]["name"] == backup["name"])
    assert made["metadata"]["labels"]["velero.io/schedule-name"] == "fires"
    assert made["metadata"]["annotations"]["leeward.dev/slot"] == f"{slot.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    shown = until("counted", lambda: (s := story.shown())["counts"]["completed"] and s)
    assert (story.created["status"], shown["status"]) == ("New", "Active")
    assert shown["lastBackup"]["status"] in {"Creating", "Completed"}
    assert shown["nextRunAt"] > first["from"]

    def once_each() -> bool:  # another slot may come between the two looks
        triggered = [tick for tick in story.ticks() if tick["decision"] == "Triggered"]
        names = [each["metadata"]["name"] for each in story.objects(fleet)]
        return len(names) == len(set(names)) == len(triggered)

    until("one object for each slot", once_each)


def test_a_paused_schedule_runs_nothing_but_what_a_person_asks_of_it(product: Product, fleet: Fleet, stories) -> None:
    story = stories["paused"]
    assert {tick["decision"] for tick in story.ticks()} == {"Paused"}
    assert story.objects(fleet) == []
    assert (story.shown()["status"], story.shown()["nextRunAt"]) == ("Paused", None)
    answer = product.post(f"/schedules/{story.id}/backups", {"name": "by-hand"}, Prefer="wait=30")
    assert answer.status_code == 201, answer.text
    backup = product.ended(answer.json()["id"])
    assert (backup["createdBy"]["kind"], backup["schedule"]["name"]) == ("User", "rests")
    resumed = _act(product, story, "resume")
    assert (resumed["paused"], resumed["firstAffected"]) == (False, resumed["nextRunAt"])


def test_a_slot_to_be_skipped_is_and_the_next_one_runs(stories) -> None:
    first, second = stories["skipped"].ticks()[:2]
    assert [first["decision"], second["decision"]] == ["Skipped", "Triggered"]
    shown = stories["skipped"].shown()
    assert (shown["skipNext"], shown["counts"]["skipped"], shown["lastSkippedAt"]) == (0, 1, first["from"])


def test_a_slot_while_the_last_backup_still_runs_is_refused_and_says_which(product: Product, fleet: Fleet, stories) -> None:
    story = stories["overlaps"]
    first, second = story.ticks()[:2]
    assert (first["decision"], second["decision"]) == ("Triggered", "Triggered")
    refused = until("refused", lambda: (t := story.ticks()[1])["result"] == "Overlap" and t)
    assert first["backup"]["name"] in refused["refusal"]["detail"]
    assert refused["backup"] is None
    assert product.ended(first["backup"]["id"])["outcome"] == "Completed"
    assert second["from"] not in [each["metadata"]["annotations"]["leeward.dev/slot"] for each in story.objects(fleet)]


def test_a_broken_schedule_is_stored_says_why_and_runs_once_it_is_mended(product: Product, fleet: Fleet, stories) -> None:
    story = stories["broken"]
    assert story.created["status"] == "FailedValidation"
    assert [(r["code"], r["permanent"]) for r in story.shown()["reasons"]] == [("LocationUnknown", True)]
    assert {(tick["decision"], tick["reason"]) for tick in story.ticks()} == {("Invalid", "LocationUnknown")}
    assert story.objects(fleet) == []


def test_a_location_that_goes_fails_the_schedule_within_seconds_and_back(product: Product, fleet: Fleet) -> None:
    cluster, path = fleet["eu1"], velero_path("backupstoragelocations", "passing")
    place = storage_location("passing", fleet.s3, "passing")
    cluster.api.ensure(place)
    until("validated", lambda: cluster.api.get(path).get("status", {}).get("phase") == "Available")
    known = {"storageLocation": "passing"}
    until("reported", lambda: "passing" in [each["name"] for each in product.get("/storage-locations").json()["items"]])
    story = Story(product, "judged", cron="0 3 * * *", spec=known)
    assert story.created["status"] == "New", story.created["reasons"]

    with product.listening(kind="schedule") as heard:
        cluster.api.delete(path)
        until("seen", lambda: "passing" not in [each["name"] for each in product.get("/storage-locations").json()["items"]], 30)
        until("failed validation", lambda: story.shown()["status"] == "FailedValidation", 5)
        assert [reason["code"] for reason in story.shown()["reasons"]] == ["LocationUnknown"]
        cluster.api.ensure(place)
        until("back", lambda: story.shown()["status"] == "New", 20)
        # That it was New may be heard, too: the person has the answer before the stream has it.
        until("heard", lambda: _changes(heard, story)[-2:] == ["FailedValidation", "New"])
    assert product.delete(f"/schedules/{story.id}").status_code in {202, 204}


def test_a_schedule_goes_with_its_backups_and_their_bytes(product: Product, fleet: Fleet, stories) -> None:
    story = stories["fires"]
    _act(product, story, "pause")
    for backup in story.backups():
        product.ended(backup["id"])
    names = [each["metadata"]["name"] for each in story.objects(fleet)]
    assert names

    answer = product.delete(f"/schedules/{story.id}?deleteBackups=true")

    assert answer.status_code == 202, answer.text
    assert answer.json()["deleting"]["deleteBackups"]
    until("gone", lambda: product.get(f"/schedules/{story.id}").status_code == 404, 120)
    assert story.objects(fleet) == []
    assert [key for name in names for key in fleet.s3.keys(f"eu1/backups/{name}/")] == []
    assert story.backups() == []
    operations = [product.backup(b["id"]) for b in product.get("/backups", schedule=story.id, status="Deleted").json()["items"]]
    assert {each["deletion"]["by"] for each in operations} == {"anna"}
