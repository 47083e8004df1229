"""`restore.create` of another cluster's backup: mirror its location, wait for the backup, restore, clean up. Re-entrant.

What has been done is read off the objects that carry the operation, and off what was told of it. A step is told before it is
begun, and its wait counts from then; so it ends alike whoever does it, and however often. A process remembers only how it
struggles: for how long nothing but failures has lasted, and how often the mirror was made.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

import structlog

from services.executor.answering import accept, deadline, end, if_there, late, publish, refuse
from services.executor.backups.choices import NotYet, Refused
from services.executor.kube import (
    BACKUPS,
    LOCATIONS,
    RESTORES,
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InternalError,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.locations import judging as locations
from services.executor.locations import secrets
from services.executor.manifests import is_of, location_of
from services.executor.ports import Ports
from services.executor.restores import cleaning, mirrors
from services.executor.restores.creation import Restoration, around
from services.executor.restores.judging import check_backup, check_modifier, judge, message_of, outcome_of, phase_of, targets
from services.executor.restores.mirrors import Standing
from services.executor.restores.struggles import Struggle
from services.executor.restores.telling import Telling, Told, words
from shared.contracts.commands import RestoreCreate
from shared.contracts.envelope import Envelope
from shared.contracts.events import Finished, Step
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.phases import PHASE_OUTCOME, Outcome, RestoreStep
from shared.contracts.refusals import Code, Refusal, refusal
from shared.messaging.outcomes import Retry
from shared.runtime import logging

log = structlog.get_logger(__name__)

_SOON: Final = 0.2
_OFTEN: Final = 3
_SMALL: Final = 0.1
"""Of the time that Velero has for a mirror: so much may pass between telling of it and making it."""


async def cross(ports: Ports, command: Envelope[RestoreCreate]) -> None:
    """Carry out the restore as far as it goes now.

    Raises Retry while something is waited for.
    """
    operation = str(command.operationid)
    accepted, rejected, finished, begun = await asyncio.gather(
        *(ports.record.said(ports.cluster, operation, verb) for verb in ("accepted", "rejected", "finished", "step"))
    )
    if rejected or finished:
        log.info("command was answered before", **{logging.OPERATION: operation, logging.CLUSTER: ports.cluster})
        ports.struggles.pop(operation, None)
        return
    struggle = ports.struggles.setdefault(operation, Struggle())
    struggle.looks(ports.clock())
    told = Told.read(begun)
    crossing = Crossing(ports, command, Telling(ports, command, told, struggle))
    try:
        if accepted is not None:
            await crossing.finish(accepted.data.object.uid)
        elif told and told.data.refusal:
            await crossing.give_up(told.data.refusal)
        else:
            await crossing.begin()
    except KubeError as error:  # of a look at how far it has come: nothing ends before what was made is gone
        raise Retry(str(error), after=ports.restoring.look) from error
    ports.struggles.pop(operation, None)


@dataclass(slots=True)
class Crossing:
    """One restore on its way from another cluster."""

    ports: Ports
    command: Envelope[RestoreCreate]
    telling: Telling

    async def begin(self) -> None:
        """Bring it to its Restore, and that to its end; or give it up.

        Raises Retry while something is waited for.
        """
        try:
            made, notices = await self.make()
        except (GoneError, InternalError) as error:
            await self.give_up(await self._bear(error))
        except (NotYet, Refused, KubeError) as error:
            await self.telling.goes_on()
            await self.give_up(end(self.ports, self.command, error))
        else:
            await self._accept(made, notices)

    async def _accept(self, made: Object, notices: list[Notice]) -> None:
        await self.telling.goes_on()
        await accept(self.ports, self.command, Noun.RESTORE, made, notices)
        await self.finish(str(made["metadata"]["uid"]))

    async def _bear(self, error: KubeError) -> Refusal:
        """Return what a restore ends in at which the API server has failed for too long: a webhook may only be starting.

        Raises Retry until then.
        """
        if self.telling.last is None:
            return end(self.ports, self.command, error)
        if await self.telling.fails(error):
            return refusal(Code.CLUSTER_FAILS, cluster=self.ports.cluster, message=error)
        raise Retry(str(error), after=self.ports.restoring.look)

    # ------------------------------------------------------------------ until there is a Restore

    async def make(self) -> tuple[Object, list[Notice]]:
        """Return the Restore, made now or before, and what is to be known of it.

        Raises NotYet while something is waited for; Refused or KubeError when it comes to nothing.
        """
        task = Restoration(self.ports, self.command)
        found, listed, backup = await asyncio.gather(task.find(), self._locations(), self._backup())
        if found is not None:
            return found, []
        if self.telling.last is None:
            await self._judge_early(backup, listed)
        if backup is not None:
            with contextlib.suppress(NotYet):  # it is waited for where the backup is looked for
                await cleaning.remove_orphans(self.ports, [backup])
        location = await self._reach(listed)
        backup = await self._find(location)
        return await self._restore(task, backup)

    async def _judge_early(self, backup: Object | None, listed: list[Object]) -> None:
        """Refuse, before anything is made, what is known by then."""
        if late(self.ports, self.command):
            raise Refused(deadline(self.ports, self.command))
        if mirrors.standing(self.command, backup, listed) == Standing.HIDDEN:
            raise Refused(self._hidden)
        seen = await around(self.ports, self.command)
        check_modifier(self.command, seen.modifier)
        if targets(self.command.data.spec.wire(), None) is not None:
            judge(self.command, None, seen)

    async def _reach(self, listed: list[Object]) -> Object:
        """Return the location through which the backup is read, once Velero can use it."""
        begun, patience = self.telling.is_past(RestoreStep.MIRROR), self.ports.restoring
        if not begun:
            await self._give_up_others(listed)
        location = mirrors.choose(self.command, listed, begun=begun)
        if location is None and begun:
            gone = "it was removed while the backup was looked for"
            raise Refused(self._failed(mirrors.mirror_name(self.command), gone))
        made, told = None, self._making_it if location is None or is_of(location, self.command) else self._using(location)
        await self.telling.tell(RestoreStep.MIRROR, told)
        if location is None:
            if self.telling.waited_for(patience.available * _SMALL) and not self.telling.is_failing:
                anew = f"{told} Begun anew at {self.ports.clock():%H:%M:%S}Z."  # it could not be made until now
                await self.telling.anew(Step(step=RestoreStep.MIRROR, detail=anew))
            made = location = await self._make_mirror(listed)
        elif mirrors.is_mirror(location, self.ports.cluster):
            location = await self._join(location)
        if not begun:
            last = self.telling.last
            await self.telling.goes_on(told if made is not None or last is None or last.data.resumed is None else None)
        name, own, unusable = mirrors.name_of(location), is_of(location, self.command), phase_of(location) == "Unavailable"
        if phase_of(location) == "Available":
            return location
        tried = unusable and own and mirrors.validated_again(location, patience.settled)
        if tried or self.telling.waited_for(patience.found if begun else patience.available):
            unseen = f"Velero has not looked at it within {words(patience.available)}"
            raise Refused(self._failed(name, message_of(location) if unusable else unseen))
        raise NotYet(f"Velero cannot use storage location {name} yet", after=patience.look)

    async def _give_up_others(self, listed: list[Object]) -> None:
        """Leave another restore's mirror that Velero cannot use any more: what is wrong with it may be that one's credential.

        Raises NotYet if there was one.
        """
        for location in listed:
            if mirrors.is_given_up(location, self.command):
                name = mirrors.name_of(location)
                other = f"Velero cannot use storage location {name} any more. {self._making_it}"
                if self.telling.last is None or self.telling.last.data.detail != other:
                    await self.telling.anew(Step(step=RestoreStep.MIRROR, detail=other))
                elif self.telling.waited_for(self.ports.restoring.cleaned):
                    raise Refused(self._failed(name, "it cannot be used, and does not go"))
                await cleaning.leave(self.ports, self.command, location)
                raise NotYet("it reads through another storage location", after=_SOON)

    async def _make_mirror(self, listed: list[Object]) -> Object:
        """Make the mirror, and before it the Secret that it reads. `listed`: the locations among which it was not found."""
        kube, body = self.ports.kube, mirrors.mirror(self.command, self.ports.namespace)
        name = str(body["metadata"]["name"])
        if self.telling.struggle.made >= _OFTEN:
            raise Refused(self._failed(name, "somebody removes it again and again"))
        if self.command.data.credential:
            text = await self.ports.sealing.open(self.command.data.credential)
            secret, labels = locations.STORAGE.secret(name), locations.labels(self.command)
            await secrets.write(kube, locations.secret(secret, self.ports.namespace, name, text, labels))
        try:
            made = await kube.create(LOCATIONS, body)
        except AlreadyExistsError:
            found = await if_there(kube, LOCATIONS, name)
            changed = any(mirrors.name_of(location) == name for location in listed)
            if found is None or (is_of(found, self.command) and not changed):
                raise NotYet(f"storage location {name} was made meanwhile", after=_SOON) from None
            who = "somebody has changed it" if is_of(found, self.command) else "there is another one of that name"
            raise Refused(self._failed(name, who)) from None
        self.telling.struggle.made += 1
        return made

    async def _join(self, location: Object) -> Object:
        """Mark a mirror as used, so that no other restore removes it."""
        if mirrors.is_used(location, self.command):
            return location
        name = mirrors.name_of(location)
        try:
            return await self.ports.kube.patch(LOCATIONS, name, mirrors.use(location, self.command, begin=True))
        except (ConflictError, NotFoundError) as error:
            raise NotYet(f"storage location {name} changed meanwhile", after=_SOON) from error

    async def _find(self, location: Object) -> Object:
        """Return the backup, once Velero has found it, and in a location that nobody removes."""
        order, patience, name = self.command.data, self.ports.restoring, mirrors.name_of(location)
        waits = f"Waits up to {words(patience.found)} until Velero has found backup {order.source.name} in {name}."
        await self.telling.tell(RestoreStep.FIND, waits)
        listed, backup = await asyncio.gather(self._locations(), self._backup())
        standing, over = mirrors.standing(self.command, backup, listed), self.telling.waited_for(patience.found)
        if standing == Standing.HIDDEN or (standing == Standing.PASSING and over):
            raise Refused(self._hidden)
        if standing == Standing.THERE and backup is not None:
            place = next(x for x in listed if mirrors.name_of(x) == location_of(backup))
            if mirrors.is_mirror(place, self.ports.cluster):
                place = await self._join(place)
            if phase_of(place) == "Available":
                check_backup(order, backup, self.ports.clock())
                return backup
            if over:
                raise Refused(self._failed(mirrors.name_of(place), message_of(place)))
        if over:
            facts = {"name": order.source.name, "location": name, "patience": words(patience.found)}
            raise Refused(refusal(Code.BACKUP_NOT_FOUND_THERE, cluster=self.ports.cluster, **facts))
        raise NotYet(f"Velero has not found backup {order.source.name} yet", after=patience.look)

    async def _restore(self, task: Restoration, backup: Object) -> tuple[Object, list[Notice]]:
        order = self.command.data
        async with self.ports.making:
            notices = judge(self.command, backup, await around(self.ports, self.command))
            makes = f"Makes restore {order.name} from backup {order.source.name}, and waits until it has ended."
            await self.telling.tell(RestoreStep.RESTORE, makes)
            try:
                return await task.create(), notices
            except AlreadyExistsError:
                found = await task.find()
                if found is None:
                    raise NotYet("the name was taken and free again within a moment", after=_SOON) from None
                return found, notices

    # ------------------------------------------------------------------ the end

    async def finish(self, uid: str) -> None:
        """Wait for the end of the Restore, look into it, remove what was made for it, and say so.

        Raises Retry while something is waited for.
        """
        patience, name = self.ports.restoring, self.command.data.name
        restore = await if_there(self.ports.kube, RESTORES, name)
        if restore is not None and str(restore["metadata"]["uid"]) != uid:
            restore = None
        if restore is not None and outcome_of(restore) is None:
            raise Retry(f"restore {name} goes on", after=self.telling.pause)
        task = Restoration(self.ports, self.command)
        await (task.tie(restore) if restore is not None else task.undo())
        measured = await self.ports.record.measured(self.ports.cluster, uid, Noun.RESTORE)
        known = (measured.data.restore.object.get("status") or {}).get("phase") if measured else None
        if await self._is_used():
            until = words(patience.looked_into)
            await self.telling.tell(
                RestoreStep.CLEAN_UP, f"Reads what became of the restore (up to {until}), then removes what was made for it."
            )
            looked = restore is None or (known == phase_of(restore) and not restore["metadata"].get("deletionTimestamp"))
            if not looked and not self.telling.waited_for(patience.looked_into):
                raise Retry(f"restore {name} is being looked into", after=patience.look)
        left = await self._clean(patience.looked_into)
        phase = phase_of(restore) if restore is not None else known
        outcome = PHASE_OUTCOME.get(str(phase))
        detail = f"Restore {name} is {phase}." if phase else f"Restore {name} was removed before it had ended."
        told = Finished(succeeded=outcome == Outcome.COMPLETED, detail=f"{detail} {left}".strip())
        await publish(self.ports, self.command, "finished", told)

    async def _is_used(self) -> bool:
        """Tell whether there is something to be removed; what cannot be seen may be."""
        try:
            return bool(await cleaning.used(self.ports, self.command))
        except KubeError:
            return True

    async def give_up(self, no: Refusal) -> None:
        """Remove what was made for a restore that comes to nothing, and say why it does.

        Raises Retry until it is gone.
        """
        last = self.telling.last
        if last is not None and last.step == RestoreStep.RESTORE and (made := await self._made_after_all()) is not None:
            await self._accept(made, [])
            return
        if self.telling.last is not None or not await self._is_clean():
            await self.telling.tell(RestoreStep.CLEAN_UP, f"Removes what was made, because: {no.detail}", no)
            left = await self._clean(0)
            no = no.model_copy(update={"detail": f"{no.detail} {left}".strip()})
        await Restoration(self.ports, self.command).undo()
        await refuse(self.ports, self.command, no)

    async def _made_after_all(self) -> Object | None:
        """Return the Restore if it is there: an API server that fails may have made it nevertheless.

        Raises KubeError as long as that cannot be seen: what may be there is not refused.
        """
        with contextlib.suppress(Refused):
            return await Restoration(self.ports, self.command).find()
        return None

    async def _is_clean(self) -> bool:
        """Remove what was made for a restore of which nothing was told, as far as is known; tell whether that is all."""
        try:
            await cleaning.clean(self.ports, self.command)
        except NotYet:
            return False
        except KubeError:  # what may not be looked at has hardly been made
            return True
        return True

    async def _clean(self, before: float) -> str:
        """Remove what was made; return what had to be left, once the time for it is over.

        Raises Retry until then.
        """
        over = self.telling.waited_for(before + self.ports.restoring.cleaned)
        try:
            await cleaning.clean(self.ports, self.command)
        except KubeError as error:
            reason = f"{type(error).__name__}: {error}"
        except NotYet as wait:
            reason = str(wait)
        else:
            return ""
        if not over:
            raise Retry(f"what was made is not gone yet: {reason}", after=self.ports.restoring.look)
        log.warning("not cleaned up", **{logging.OPERATION: self.command.operationid, logging.REASON: reason})
        return f"What was made for it is not gone: {reason[:300]}"

    # ------------------------------------------------------------------ in words

    def _failed(self, location: str, message: str) -> Refusal:
        return refusal(Code.MIRROR_FAILED, cluster=self.ports.cluster, location=location, message=message)

    @property
    def _hidden(self) -> Refusal:
        return refusal(Code.BACKUP_HIDDEN, cluster=self.ports.cluster, name=self.command.data.source.name)

    @property
    def _making_it(self) -> str:
        storage = mirrors.wanted(self.command).object_storage
        where = "/".join(part for part in (storage.bucket, storage.prefix) if part)
        until = words(self.ports.restoring.available)
        name = mirrors.mirror_name(self.command)
        return f"Makes the read-only storage location {name} for {where}, and waits up to {until} until Velero can use it."

    def _using(self, location: Object) -> str:
        until = words(self.ports.restoring.available)
        return f"Reads through storage location {mirrors.name_of(location)}, and waits up to {until} until Velero can use it."

    async def _locations(self) -> list[Object]:
        return (await self.ports.kube.list(LOCATIONS)).items

    async def _backup(self) -> Object | None:
        return await if_there(self.ports.kube, BACKUPS, self.command.data.source.name)
