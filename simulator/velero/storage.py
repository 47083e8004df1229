"""Where backups and restores lie in a bucket, as Velero lays them out."""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from simulator.bulk import Archive
from simulator.cloud import Cloud, StorageError
from simulator.documents import Document, dig
from simulator.keys import Keys
from simulator.velero.naming import NoPlugin, Unasked

METADATA = "velero-backup.json"

_BACKUP_FILES = {
    "BackupLog": "{name}-logs.gz",
    "BackupContents": "{name}.tar.gz",
    "BackupVolumeSnapshots": "{name}-volumesnapshots.json.gz",
    "BackupItemOperations": "{name}-itemoperations.json.gz",
    "BackupResourceList": "{name}-resource-list.json.gz",
    "BackupResults": "{name}-results.gz",
    "BackupVolumeInfos": "{name}-volumeinfo.json.gz",
    "CSIBackupVolumeSnapshots": "{name}-csi-volumesnapshots.json.gz",
    "CSIBackupVolumeSnapshotContents": "{name}-csi-volumesnapshotcontents.json.gz",
    # No targets of downloads, but files like the others.
    "CSIBackupVolumeSnapshotClasses": "{name}-csi-volumesnapshotclasses.json.gz",
    "PodVolumeBackups": "{name}-podvolumebackups.json.gz",
}
_RESTORE_FILES = {
    "RestoreLog": "restore-{name}-logs.gz",
    "RestoreResults": "restore-{name}-results.gz",
    "RestoreResourceList": "restore-{name}-resource-list.json.gz",
    "RestoreItemOperations": "restore-{name}-itemoperations.json.gz",
    "RestoreVolumeInfo": "{name}-volumeinfo.json.gz",
}
FILES: Mapping[str, str] = {
    **{target: "backups/{name}/" + file for target, file in _BACKUP_FILES.items()},
    **{target: "restores/{name}/" + file for target, file in _RESTORE_FILES.items()},
}
"""Paths by what a DownloadRequest calls them."""

PROVIDER = "aws"
"""The only provider that there is a plugin for."""

TOP_LEVEL = frozenset(("backups", "restores", "restic", "kopia", "metadata", "plugins"))
"""The only directories that a location may hold."""


def pack(value: Any) -> bytes:
    """Write a value as gzipped JSON."""
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0)


def unpack(data: bytes) -> Any:
    """Read a value from gzipped JSON."""
    return json.loads(gzip.decompress(data))


def _problem(cloud: Cloud, location: Document) -> StorageError | None:
    """Say why nobody is where a location points to: it is of another provider, at another port, or not to be trusted."""
    provider = str(dig(location, "spec.provider") or "")
    if provider.removeprefix("velero.io/") != PROVIDER:
        return NoPlugin(provider)
    address = urlsplit(str(dig(location, "spec.config.s3Url") or ""))
    if address.netloc and address.port != urlsplit(cloud.url).port:
        why = f"dial tcp {address.netloc}: connect: connection refused"
    elif address.scheme == "https" and not _trusts(cloud, location):
        why = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    else:
        return None
    return StorageError(
        "",
        "operation error S3: ListObjectsV2, exceeded maximum number of attempts, 3, https response error StatusCode: 0, "
        f'RequestID: , HostID: , request send failed, Get "{address.geturl()}": {why}',
    )


def _trusts(cloud: Cloud, location: Document) -> bool:
    """Tell whether a client of a location takes the certificate of the cloud for genuine, or any."""
    if dig(location, "spec.config.insecureSkipTLSVerify") == "true":
        return True
    given = base64.b64decode(str(dig(location, "spec.objectStorage.caCert") or ""))
    return bool(cloud.authority) and cloud.authority in given


class Storage:
    """The bucket and prefix of one BackupStorageLocation. Every method raises StorageError as the cloud does.

    `keys` are those that the location is used with, or why there are none to be had.
    """

    def __init__(self, cloud: Cloud, location: Document, keys: Keys | StorageError | None = None) -> None:
        self._shared = cloud
        self._keys = None if isinstance(keys, StorageError) else keys
        self._problem = keys if isinstance(keys, StorageError) else _problem(cloud, location)
        self._bucket = str(dig(location, "spec.objectStorage.bucket") or "")
        prefix = str(dig(location, "spec.objectStorage.prefix") or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def _cloud(self) -> Cloud:
        if self._problem is not None:
            raise self._problem
        return self._shared

    def put(self, path: str, data: bytes) -> None:
        """Write one file, e.g. `backups/b/velero-backup.json`."""
        self._cloud.put(self._bucket, self._prefix + path, data, self._keys)

    def get(self, path: str) -> bytes:
        """Read one file."""
        return self._cloud.get(self._bucket, self._prefix + path, self._keys)

    def put_file(self, target: str, name: str, data: bytes) -> None:
        """Write a file by what a DownloadRequest calls it."""
        self.put(FILES[target].format(name=name), data)

    def get_file(self, target: str, name: str) -> bytes:
        """Read a file by what a DownloadRequest calls it."""
        return self.get(FILES[target].format(name=name))

    def enlarge(self, name: str, mebibytes: int) -> int:
        """Let the contents of a backup be a large archive, and return how many bytes it has."""
        contents = Archive(mebibytes)
        self._cloud.replace(self._bucket, self._prefix + FILES["BackupContents"].format(name=name), contents)
        return contents.size

    def sign(self, target: str, name: str, seconds: float) -> str:
        """Return a URL for a file, whether it exists or not, and whether anybody is there to serve it or not."""
        if isinstance(self._problem, Unasked):
            raise self._problem
        return self._shared.sign(self._bucket, self._prefix + FILES[target].format(name=name), seconds, self._keys)

    def directories(self, path: str = "") -> list[str]:
        """Return the names of the directories under a path, e.g. `backups/`."""
        start = self._prefix + path
        rests = (key.removeprefix(start) for key in self._cloud.keys(self._bucket, start, self._keys))
        return sorted({rest.split("/", 1)[0] for rest in rests if "/" in rest})

    def metadata(self, backup: str) -> Document:
        """Return a backup as the bucket remembers it."""
        found: Document = json.loads(self.get(f"backups/{backup}/{METADATA}"))
        return found

    def put_metadata(self, backup: Document) -> None:
        """Let the bucket remember a backup."""
        name = backup["metadata"]["name"]
        self.put(f"backups/{name}/{METADATA}", json.dumps(backup, separators=(",", ":")).encode())

    def holds(self, backup: str) -> bool:
        """Tell whether a backup of this name is there."""
        return self._cloud.has(self._bucket, f"{self._prefix}backups/{backup}/{METADATA}", self._keys)

    def forget(self, backup: str) -> None:
        """Remove the metadata of a backup, without which its other files are nothing."""
        self._cloud.delete_prefix(self._bucket, f"{self._prefix}backups/{backup}/{METADATA}", self._keys)

    def delete(self, path: str) -> None:
        """Remove everything under a directory, e.g. `backups/b/`."""
        self._cloud.delete_prefix(self._bucket, self._prefix + path, self._keys)
