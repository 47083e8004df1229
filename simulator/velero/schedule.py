"""The schedule controller: judges schedules, and creates backups when they are due."""

from collections.abc import Iterable
from datetime import datetime

from simulator.documents import Document, clone, dig
from simulator.velero.client import moment, phase_of
from simulator.velero.controller import Change, Controller
from simulator.velero.cron import BadCron, Cron, parse_cron
from simulator.velero.durations import DURATIONS, format_duration, parse_duration

SCHEDULE_LABEL = "velero.io/schedule-name"

_HOLDING = ("", "New", "InProgress")
"""The phases in which a backup keeps its schedule from another one. Queued and ReadyToStart are not among them in 1.18."""


class Schedules(Controller):
    """Looks at every schedule once a minute, counted from the start of the server, and when its spec changes.

    One that is paused is passed over then, and not later: what was queued before the pause is still done.
    """

    kind = "schedules"
    tick = "schedule_tick"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a schedule that is new or whose spec was changed."""
        if change.after is None or (change.before or {}).get("spec") == change.after.get("spec"):
            return ()
        return () if _paused(change.after) else (change.name,)

    def ticked(self) -> Iterable[str]:
        """Return every schedule that is not paused."""
        return [document["metadata"]["name"] for document in self.velero.known(self.kind) if not _paused(document)]

    async def reconcile(self, name: str) -> None:
        """Judge one schedule, and create a backup if one is due."""
        await self.velero.work()
        schedule = self.client.find("schedules", name)
        if schedule is None:
            return
        errors: list[str] = []
        cron = None
        try:
            cron = parse_cron(schedule["spec"].get("schedule", ""))
        except BadCron as error:
            errors = [str(error)]
        schedule = self._write(schedule, errors)
        if cron is not None and self._due(cron, schedule) and not self._running(name):
            await self.velero.work()
            self._submit(schedule)

    def _write(self, schedule: Document, errors: list[str]) -> Document:
        """Write what was found, in one patch: the phase, and the flag of the spec, which is used up."""
        skip = schedule["spec"].get("skipImmediately")
        if skip is None:
            skip = self.settings.schedule_skip_immediately
        status: Document = {"phase": "FailedValidation" if errors else "Enabled", "validationErrors": errors or None}
        if skip:
            status["lastSkipped"] = self.client.timestamp()
        return self.client.patch(
            "schedules", schedule["metadata"]["name"], {"spec": {"skipImmediately": False}, "status": status}
        )

    def _due(self, cron: Cron, schedule: Document) -> bool:
        """Tell whether a time has passed since the last backup, the creation, or what was skipped."""
        last = dig(schedule, "status.lastBackup") or schedule["metadata"]["creationTimestamp"]
        since = max(_time(last), _time(dig(schedule, "status.lastSkipped") or last))
        following = cron.after(since)
        return following is not None and self.client.now() > following

    def _running(self, name: str) -> bool:
        return any(phase_of(item) in _HOLDING for item in self.client.list("backups", f"{SCHEDULE_LABEL}={name}"))

    def _submit(self, schedule: Document) -> None:
        submitted = self.client.timestamp()
        self.client.create("backups", backup_of(schedule, submitted))
        self.client.patch_status("schedules", schedule["metadata"]["name"], lastBackup=submitted)


def _paused(schedule: Document) -> bool:
    return bool(schedule["spec"].get("paused"))


def _time(text: str) -> datetime:
    found = moment(text)
    assert found is not None, "an object always knows when it was made"  # noqa: S101 (for the type checker)
    return found


def backup_of(schedule: Document, timestamp: str) -> Document:
    """Return the backup that a schedule makes at a time. Labels of the template take the place of the schedule's own."""
    metadata, name = schedule["metadata"], schedule["metadata"]["name"]
    spec = _as_go_writes(schedule["spec"]["template"])
    own = dict(metadata.get("labels", {}))
    if template := spec["metadata"].get("labels"):
        own = template  # The two are one map in Velero, so that the label below shows up in both.
    own[SCHEDULE_LABEL] = name
    made: Document = {"name": f"{name}-{''.join(filter(str.isdigit, timestamp))}", "labels": dict(own)}
    if metadata.get("annotations"):
        made["annotations"] = dict(metadata["annotations"])
    if schedule["spec"].get("useOwnerReferencesInBackup"):
        owner = {"apiVersion": "velero.io/v1", "kind": "Schedule", "name": name, "uid": metadata["uid"]}
        made["ownerReferences"] = [{**owner, "controller": True}]
    return {"metadata": made, "spec": spec, "status": {}}


def _as_go_writes(template: Document) -> Document:
    """Return a template as Go writes it: durations in full, also those of zero, and two structures even when they are empty."""
    spec: Document = {"hooks": {}, "metadata": {}, **clone(template)}
    for field in (path.rpartition(".")[2] for path in DURATIONS["schedules"]):
        spec[field] = format_duration(parse_duration(spec.get(field) or "0"))
    return spec
