"""The epoch of each cluster: it grows when a cluster's resource versions begin anew, so that observations stay comparable."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import nats.js.errors

from shared.contracts.base import Wire
from shared.messaging.connection import Connection, available
from shared.messaging.topology import EPOCHS


class Epoch(Wire):
    """What is known of a cluster's history: its kube-system uid, and the highest resource version seen in this epoch."""

    epoch: int
    kube_system_uid: str
    high_water: int


@dataclass(frozen=True, slots=True)
class Epochs:
    """The epochs in the key-value bucket, written only by executors."""

    connection: Connection

    async def read(self, cluster: str) -> Epoch:
        """Return what is known of a cluster; epoch 0 before the first list.

        Raises Unavailable when the bucket does not answer.
        """
        return (await self._entry(cluster))[0]

    async def after_list(
        self, cluster: str, before: Epoch, kube_system_uid: str, resource_version: int, now: datetime
    ) -> Epoch:
        """Note a list that was begun when `before` was known; return what is known now.

        Raises Unavailable when the bucket does not answer.
        """
        return await self._write(cluster, lambda known: after_list(known, before, kube_system_uid, resource_version, now))

    async def after_event(self, cluster: str, epoch: int, resource_version: int) -> Epoch:
        """Note the version of a watch event, so that a later fall below it is noticed.

        Raises Unavailable when the bucket does not answer.
        """
        return await self._write(cluster, lambda known: after_event(known, epoch, resource_version))

    async def _entry(self, cluster: str) -> tuple[Epoch, int]:
        with available():
            bucket = await self.connection.bucket(EPOCHS)
            try:
                entry = await bucket.get(cluster)
            except nats.js.errors.KeyNotFoundError:
                return Epoch(epoch=0, kube_system_uid="", high_water=0), 0
            return Epoch.read(json.loads(entry.value or b"{}")), entry.revision or 0

    async def _write(self, cluster: str, change: Callable[[Epoch], Epoch]) -> Epoch:
        while True:
            known, revision = await self._entry(cluster)
            now = change(known)
            if now == known:
                return now
            with available():
                bucket = await self.connection.bucket(EPOCHS)
                value = now.model_dump_json(by_alias=True).encode()
                try:
                    await (bucket.update(cluster, value, last=revision) if revision else bucket.create(cluster, value))
                except nats.js.errors.KeyWrongLastSequenceError:
                    continue  # another watcher of this cluster was faster
            return now


def after_list(known: Epoch, before: Epoch, kube_system_uid: str, resource_version: int, now: datetime) -> Epoch:
    """Return what is known after a list that shows this version and was begun when `before` was known.

    A new epoch begins when kube-system has another uid (a new cluster under the old name), or when the list shows less than
    had been seen before it began (etcd restored from a backup). It is compared with what was known *before*, because
    another watcher may have seen more in the meantime. Epochs are numbered by the clock, so that they go on growing even if
    the bucket is lost.
    """
    if known.kube_system_uid != kube_system_uid or (known.epoch == before.epoch and resource_version < before.high_water):
        return Epoch(
            epoch=max(known.epoch + 1, int(now.timestamp())), kube_system_uid=kube_system_uid, high_water=resource_version
        )
    return after_event(known, known.epoch, resource_version)


def after_event(known: Epoch, epoch: int, resource_version: int) -> Epoch:
    """Return what is known after an event of that epoch at that version; events of an older epoch say nothing."""
    if known.epoch != epoch or resource_version <= known.high_water:
        return known
    return known.model_copy(update={"high_water": resource_version})
