"""Name what a scenario may rely on, so that it cannot tell the stages apart: the API server, and hands to hurt things with."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

import httpx2

from tests.conformance.manifests import VELERO, Json, deletion_of, furnishing, of_core, of_velero, unique
from tests.conformance.story import TICKS, Pace, Story
from tests.e2e.real.api import ApiError, KubeApi, velero_path
from tests.e2e.real.s3 import credential_file
from tests.e2e.real.waiting import eventually

_SELDOM: Final = {"spec": {"validationFrequency": "1h"}}
"""Merged into a location: that Velero looks at it once now, and then no more for as long as any scenario takes."""

_A_BREATH: Final = 1.0
"""Seconds in which a Velero that is not too busy sees through its cache what has just happened."""


class Hands(Protocol):
    """What can be done to one cluster only from outside it. Each returns when it is done."""

    def start_velero(self) -> None:
        """Start it unless it runs, and wait until it answers."""

    def launch_velero(self) -> None:
        """Start it and do not wait: nothing says that it will ever answer."""

    def kill_velero(self) -> None:
        """kill -9."""

    def cut_velero(self) -> None:
        """Cut it off from API server and bucket."""

    def mend_velero(self) -> None:
        """Undo `cut_velero`."""

    def start_apiserver(self) -> None:
        """Start it and wait until it is ready."""

    def kill_apiserver(self) -> None:
        """kill -9."""

    def hold_work(self) -> None:
        """Let every Backup and Restore that Velero begins stay InProgress."""

    def release_work(self) -> None:
        """Let them go on."""

    def close_storage(self) -> None:
        """Let the object storage refuse connections. What it holds may be lost."""

    def open_storage(self) -> None:
        """Let it accept connections again."""

    def keys(self, prefix: str) -> list[str]:
        """The keys of the bucket below a prefix."""

    def make_volume(self, zone: str) -> str:
        """The handle of a new volume at the cloud provider."""

    def await_binding(self, claim: str) -> None:
        """Return when the claim at this path is Bound."""

    def location(self, **objects: str) -> Json:
        """The spec of a BackupStorageLocation on the bucket of this cluster; `objects` changes its objectStorage."""

    def locked(self, *, secure: bool = False, **objects: str) -> Json:
        """The spec of one on storage that asks for keys, and does not know Velero's own; `secure` speaks TLS with it."""

    def authority(self) -> str:
        """Who vouches for the storage that asks for keys, as a location has it: base64 of PEM."""

    def admit(self, identity: str, secret: str) -> None:
        """Let these keys into that storage from now on, and none else with this id."""

    def dismiss(self, identity: str) -> None:
        """Let the keys with this id in no more."""


class Cluster:
    """One cluster with a Velero in it, as a scenario sees it."""

    def __init__(self, name: str, api: KubeApi, hands: Hands, pace: Pace) -> None:
        self.name, self.api, self.hands, self.pace = name, api, hands, pace
        self._looked_at: list[str] = []

    # Objects

    def create(self, kind: str, name: str, **fields: Any) -> Json:
        """Create an object of Velero's."""
        return self.api.create(of_velero(kind, name, **fields))

    def create_core(self, kind: str, name: str, namespace: str = "", **fields: Any) -> Json:
        """Create an object of the core group."""
        return self.api.create(of_core(kind, name, namespace, **fields))

    def settle_core(self, plural: str, name: str) -> None:
        """As `settle`, of an object of the core group in Velero's namespace."""
        Story(self.api, f"/api/v1/namespaces/{VELERO}/{plural}", name, pace=self.pace).until_still(_A_BREATH)

    def get(self, plural: str, name: str) -> Json:
        """One object of Velero's."""
        return self.api.get(velero_path(plural, name))

    def patch(self, plural: str, name: str, body: Json) -> Json:
        """Merge into one object of Velero's."""
        return self.api.patch(velero_path(plural, name), body)

    def delete(self, plural: str, name: str) -> None:
        """Delete one object of Velero's, past Velero."""
        self.api.delete(velero_path(plural, name))

    def exists(self, plural: str, name: str) -> bool:
        """Whether there is such an object of Velero's."""
        return self.has(velero_path(plural, name))

    def has(self, path: str) -> bool:
        """Whether there is anything at a path."""
        try:
            self.api.get(path)
        except ApiError as error:
            if error.status == httpx2.codes.NOT_FOUND:
                return False
            raise
        return True

    def keep_keys(self, secret: str, identity: str, key: str) -> Json:
        """Let a Secret in Velero's namespace hold keys from now on; returns what points at it from a location."""
        held = {"stringData": {"cloud": credential_file(identity, key)}}
        path = f"/api/v1/namespaces/{VELERO}/secrets"
        if self.has(f"{path}/{secret}"):
            self.api.patch(f"{path}/{secret}", held)
        else:
            self.create_core("Secret", secret, VELERO, **held)
        self.settle_core("secrets", secret)
        return {"name": secret, "key": "cloud"}

    def furnish(self, stem: str, **labels: str) -> str:
        """Make a namespace with two ConfigMaps and a Secret in it, and return its name."""
        name = unique(stem)
        self.create_core("Namespace", name, metadata={"labels": labels})
        for item in furnishing(name):
            self.api.create(item)
        return name

    # Time

    def story(self, plural: str, name: str = "", *, labels: str = "") -> Story:
        """Follow one object of Velero's, or those with a label, from now on."""
        return Story(self.api, velero_path(plural), name, labels=labels, pace=self.pace)

    def clock(self) -> str:
        """The time of the cluster, as it would write it into an object."""
        probe = of_core("ConfigMap", unique("clock"), VELERO)
        return str(self.api.create(probe)["metadata"]["creationTimestamp"])

    def eventually(self, what: str, probe: Any, *, within: float = TICKS) -> Any:
        """The first truthy answer of a probe. Refusals and broken connections count as not yet."""
        return eventually(what, probe, timeout=self.pace.deadline(within), every=0.05)

    def listed(self) -> None:
        """Return when Velero has just listed its bucket: what goes in the cluster alone comes back in a minute, not before."""
        before = self.get("backupstoragelocations", "default").get("status", {}).get("lastSyncedTime")
        story = self.story("backupstoragelocations", "default")
        story.until_object(lambda item: item.get("status", {}).get("lastSyncedTime") != before)

    # Short forms of what most scenarios do

    def back_up(self, name: str, *, within: float = TICKS, metadata: Mapping[str, Any] | None = None, **spec: Any) -> Json:
        """Create a Backup and return it in its final phase."""
        story = self.story("backups", name)
        self.create("Backup", name, metadata=metadata or {}, spec=spec)
        return story.until_final(within)

    def settle(self, plural: str, name: str) -> None:
        """Wait until Velero, which sees the cluster through a cache, surely knows what has just been created or completed.

        What it does not know yet it calls not found. And its finalizers look once more at what they have completed: if that is
        gone by then, they try for minutes to write to it, and whatever else is to be completed waits. So it is known when it
        has been left alone for a breath, however late Velero comes back to it.
        """
        self.story(plural, name).until_still(_A_BREATH)

    def rest(self, name: str, *, status: Mapping[str, Any] | None = None, **spec: Any) -> Json:
        """Create a Backup that Velero leaves alone, because it is final from the start, and return it."""
        spec = {"includedNamespaces": ["default"], **spec}
        return self.create("Backup", name, spec=spec, status={"phase": "Completed", **(status or {})})

    def rest_known(self, name: str, **spec: Any) -> Json:
        """As `rest`, returning when Velero knows of it."""
        backup = self.rest(name, **spec)
        self.settle("backups", name)
        return backup

    def assessed(self, spec: Json, stem: str = "location") -> tuple[str, Json]:
        """A new location, and its status as soon as Velero has looked at it."""
        name, story = self._located(spec, stem)
        return name, story.until_object(lambda item: item.get("status", {}).get("phase"))["status"]

    def opened(self, spec: Json, stem: str = "location") -> str:
        """A new location that is Available. A busy Velero may first miss a Secret that was made a moment before."""
        name, story = self._located(spec, stem)
        story.until_phase("Available")
        return name

    def left_alone(self, spec: Json, stem: str = "location") -> str:
        """As `opened`, and validated seldom from then on.

        Velero writes the file with its keys anew each time, under whoever just reads it; and it validates when it lists, too.
        """
        name = self.opened(spec, stem)
        self.patch("backupstoragelocations", name, _SELDOM)
        return name

    def look_seldom(self) -> None:
        """Have Velero look seldom from now on at the locations that were made here."""
        for name in self._looked_at:
            if self.exists("backupstoragelocations", name):
                self.patch("backupstoragelocations", name, _SELDOM)
        self._looked_at.clear()

    def _located(self, spec: Json, stem: str) -> tuple[str, Story]:
        name = unique(stem)
        story = self.story("backupstoragelocations", name)
        self.create("BackupStorageLocation", name, spec=spec)
        self._looked_at.append(name)
        return name, story

    def restore(self, name: str, *, within: float = TICKS, **spec: Any) -> Json:
        """Create a Restore and return it in its final phase."""
        story = self.story("restores", name)
        self.create("Restore", name, spec=spec)
        return story.until_final(within)

    def ask_deletion(self, backup: Json, *, within: float = TICKS) -> Json:
        """Ask Velero to delete a Backup, and return the request Processed or as it was when it was removed."""
        request = deletion_of(backup)
        story = self.story("deletebackuprequests", request["metadata"]["name"])
        self.api.create(request)
        event = story.until(
            lambda event: event["type"] == "DELETED" or event["object"].get("status", {}).get("phase") == "Processed",
            within=within,
        )
        return dict(event["object"])

    def download(self, kind: str, name: str) -> httpx2.Response:
        """Ask for a signed URL and fetch it, whatever it answers."""
        return httpx2.get(self.signed_url(kind, name)["status"]["downloadURL"], trust_env=False, timeout=30, verify=False)

    def download_json(self, kind: str, name: str) -> Any:
        """What a download holds that is JSON under gzip."""
        return json.loads(gzip.decompress(self.download(kind, name).raise_for_status().content))

    def signed_url(self, kind: str, name: str) -> Json:
        """A DownloadRequest that has its URL."""
        request = unique("download")
        story = self.story("downloadrequests", request)
        self.create("DownloadRequest", request, spec={"target": {"kind": kind, "name": name}})
        return story.until_phase("Processed")

    def probe(self, *, within: float = 30) -> Json:
        """A ServerStatusRequest that Velero has answered."""
        request = unique("probe")
        story = self.story("serverstatusrequests", request)
        self.create("ServerStatusRequest", request, spec={})
        return story.until_phase("Processed", within=within)

    # What hurts, mended at the end of the block

    @contextmanager
    def velero_killed(self) -> Iterator[None]:
        """Velero is dead within the block, and answers again after it."""
        self.hands.kill_velero()
        try:
            yield
        finally:
            self.hands.start_velero()

    @contextmanager
    def work_held(self) -> Iterator[None]:
        """Every Backup and Restore that Velero begins within the block stays InProgress until its end."""
        self.hands.hold_work()
        try:
            yield
        finally:
            self.hands.release_work()

    @contextmanager
    def storage_closed(self) -> Iterator[None]:
        """Nobody listens at the storage within the block. What it held may be lost."""
        self.hands.close_storage()
        try:
            yield
        finally:
            self.hands.open_storage()


class Stage(AbstractContextManager["Stage"], Protocol):
    """Three clusters. `writer` and `reader` share a bucket, where the reader's location is ReadOnly; nothing on these two may
    be hurt. `fragile` has storage of its own, and may be hurt by a scenario that mends it."""

    name: str
    writer: Cluster
    reader: Cluster
    fragile: Cluster


def refusal(call: Callable[[], object]) -> ApiError:
    """The refusal that a call must meet."""
    try:
        call()
    except ApiError as error:
        return error
    raise AssertionError("the API server should have refused this")


ROLES: Sequence[str] = ("writer", "reader", "fragile")
"""The clusters of a stage, by the names under which scenarios ask for them."""
