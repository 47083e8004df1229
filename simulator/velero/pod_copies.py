"""Copies of the volumes of pods: which are ordered from the node agents, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from simulator.documents import Document, dig
from simulator.velero.claims import bound_claims, claims_of
from simulator.velero.client import phase_of
from simulator.velero.movements import pod_volume_backup, repository
from simulator.velero.node_agent import AGENT, ENDED, agents
from simulator.velero.report import Report

if TYPE_CHECKING:
    from simulator.velero.server import Velero

_CHOSEN = "backup.velero.io/backup-volumes"
_LEFT_OUT = "backup.velero.io/backup-volumes-excludes"
_NEVER_COPIED = {"hostPath", "secret", "configMap", "projected", "downwardAPI"}


class PodCopies:
    """The copies of one backup."""

    def __init__(self, velero: Velero, backup: Document, report: Report) -> None:
        self._velero = velero
        self._client = velero.client
        self._store = velero.client.store
        self._backup = backup
        self._spec: Document = backup["spec"]
        self._report = report
        self.claims: set[tuple[str, str]] = set()
        """Claims whose data is copied through a pod, and which need no snapshot."""
        self.infos: list[Document] = []
        """What the file of volumes says of them."""
        self.files: list[Document] = []
        """The PodVolumeBackups as they ended."""

    async def run(self, pods: list[Document]) -> None:
        """Let the node agents copy the volumes of pods that ask for it, and wait until they have."""
        ordered = [name for pod in pods for name in self._order_copies(pod)]
        for name in ordered:
            while (found := self._client.find("podvolumebackups", name)) and phase_of(found) not in ENDED:
                await self._velero.work()
            if found:
                self._note_copy(found)

    def _order_copies(self, pod: Document) -> Iterable[str]:
        metadata, claims = pod["metadata"], dict(claims_of(pod))
        volumes = self._chosen(pod)
        if problem := self._not_running(pod) or self._without_agent(pod):
            self._skip(pod, volumes, problem)
            return
        for volume in volumes:
            namespace, location = metadata["namespace"], self._spec["storageLocation"]
            needed = repository(namespace, location)
            if self._client.find("backuprepositories", needed["metadata"]["name"]) is None:
                self._client.create("backuprepositories", needed)
            claim = self._store.find("persistentvolumeclaims", claims.get(volume, ""), namespace) if volume in claims else None
            if claim is not None:
                self.claims.add((namespace, claims[volume]))
            made = self._client.create("podvolumebackups", pod_volume_backup(self._backup, pod, volume, claim))
            yield made["metadata"]["name"]

    def _chosen(self, pod: Document) -> list[str]:
        """Return the volumes of a pod that are copied: those it names, or by default those it does not except."""
        annotations = pod["metadata"].get("annotations") or {}
        if not self._spec.get("defaultVolumesToFsBackup"):
            return [name.strip() for name in annotations.get(_CHOSEN, "").split(",") if name.strip()]
        excepted = {name.strip() for name in annotations.get(_LEFT_OUT, "").split(",")}
        volumes = dig(pod, "spec.volumes") or ()
        return [volume["name"] for volume in volumes if volume["name"] not in excepted and not _NEVER_COPIED & volume.keys()]

    def _not_running(self, pod: Document) -> str:
        metadata, phase = pod["metadata"], dig(pod, "status.phase") or ""
        if phase == "Running":
            return ""
        where = f"name={metadata['name']}, namespace={metadata['namespace']}, phase={phase}"
        return f"pod is not in the expected status, {where}: pod is not running"

    def _without_agent(self, pod: Document) -> str:
        node = dig(pod, "spec.nodeName") or ""
        found = node in agents(self._client.list("pods", AGENT))
        return "" if found else f"daemonset pod not found in running state in node {node}"

    def _skip(self, pod: Document, volumes: list[str], problem: str) -> None:
        """Warn of each volume that is left out. A pod that does not run is no error; a node without an agent is one."""
        where = {"resource": "pods", "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"]}
        for volume in volumes:
            self._report.say(f"Skip pod volume {volume}", level="warning", error=problem, **where)
        if volumes and not self._not_running(pod):
            self._report.say("Error backing up item", level="error", error=problem, name=pod["metadata"]["name"])

    def _complain(self, pod: Document, error: str) -> None:
        where = {"resource": "pods", "namespace": pod["namespace"], "name": pod["name"]}
        self._report.say("Error backing up item", level="error", error=error, **where)

    def _note_copy(self, copy: Document) -> None:
        self.files.append(copy)
        spec, status, pod = copy["spec"], copy["status"], copy["spec"]["pod"]
        succeeded = phase_of(copy) == "Completed"
        if not succeeded:
            self._complain(pod, f"pod volume backup failed: {status.get('message') or 'canceled'}")
        claim = self._claim_of(pod, spec["volume"])
        details = {
            "snapshotHandle": status.get("snapshotID", ""), "size": dig(status, "progress.totalBytes") or 0,
            "incrementalSize": status.get("incrementalBytes", 0), "uploaderType": "kopia", "volumeName": spec["volume"],
            "podName": pod["name"], "podNamespace": pod["namespace"], "nodeName": spec["node"], "phase": phase_of(copy),
        }  # fmt: skip
        parts = {
            "backupMethod": "PodVolumeBackup", "pvbInfo": details, "result": "succeeded" if succeeded else "failed",
            "startTimestamp": status.get("startTimestamp"), "completionTimestamp": status.get("completionTimestamp"),
        }  # fmt: skip
        bound = bound_claims(self._store, [claim] if claim else [])
        self.infos.append(bound[0].info(**parts) if bound else parts)

    def _claim_of(self, pod: Document, volume: str) -> Document | None:
        found = self._store.find("pods", pod["name"], pod["namespace"]) or {}
        name = dict(claims_of(found)).get(volume)
        return self._store.find("persistentvolumeclaims", name, pod["namespace"]) if name else None
