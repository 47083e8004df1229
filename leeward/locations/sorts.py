"""The two sorts of locations, one entry each: what differs between them, for all commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from leeward import requestfile
from leeward.changing import Change
from leeward.columns import LOCATIONS, SNAPSHOT_LOCATIONS, Column
from leeward.finding import path
from leeward.request import Field, Form, ValueFormError, pairs

_MANY = list[str]
_NAME_OF = ("name", "cluster")


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of locations: its command, what a sentence and its events call it, its address, its form, its columns.

    `validated`: Velero looks whether it can be used, and says so.
    """

    command: str
    words: str
    segment: str
    fields: Sequence[Field]
    needed: Mapping[str, str]
    columns: Sequence[Column]
    validated: bool
    event: str

    @property
    def form(self) -> Form:
        """What can be said of a new one."""
        return Form(self.fields, None, self.needed)

    @property
    def change(self) -> Change:
        """What can be changed of one."""
        return Change(self.words, Form(self.fields, None, {}), _NAME_OF)

    def address(self, cluster: str, name: str | None = None) -> str:
        """Return the address of the locations of a cluster, or of one."""
        return path("clusters", cluster, self.segment, *([name] if name is not None else []))


def _secret(value: str) -> dict[str, str]:
    """Return a reference to a key of a Secret."""
    name, equals, key = value.partition("=")
    if not equals or not name or not key:
        raise ValueFormError("is not written as SECRET=KEY")
    return {"name": name, "key": key}


_PROVIDER = Field("--provider", "/spec/provider", str, "NAME", "Whose storage it is: aws, azure, gcp, or a plugin's name.")
_CONFIG = Field("--config", "/spec/config", _MANY, "KEY=VALUE", "A setting of the provider: region=eu-west-1.", pairs)
_SECRET = Field(
    "--credential-secret", "/spec/credential", str, "SECRET=KEY", "A Secret that lies in Velero's namespace already.", _secret
)
_NEEDED = {"name": "what to call it (NAME)", "spec": "whose storage it is (--provider)"}

STORAGE = Sort(
    command="location",
    words="storage location",
    segment="storage-locations",
    fields=(
        _PROVIDER,
        Field("--bucket", "/spec/objectStorage/bucket", str, "NAME", "The bucket or container."),
        Field("--prefix", "/spec/objectStorage/prefix", str, "PATH", "The folder in it."),
        _CONFIG,
        Field("--cacert", "/spec/objectStorage/caCert", str, "FILE", "Certificates of the storage, in PEM.", requestfile.text),
        Field("--access-mode", "/spec/accessMode", str, "MODE", "ReadWrite or ReadOnly (usually ReadWrite)."),
        Field("--default/--no-default", "/spec/default", bool, None, "Whether backups go there that name no other."),
        Field(
            "--backup-sync-period", "/spec/backupSyncPeriod", str, "DURATION", "How often Velero looks for new backups in it."
        ),
        Field(
            "--validation-frequency",
            "/spec/validationFrequency",
            str,
            "DURATION",
            "How often Velero looks whether it is there.",
        ),
        _SECRET,
    ),
    needed=_NEEDED,
    columns=LOCATIONS,
    validated=True,
    event="location",
)
SNAPSHOTS = replace(
    STORAGE,
    command="snapshot-location",
    words="volume snapshot location",
    segment="snapshot-locations",
    fields=(_PROVIDER, _CONFIG, _SECRET),
    columns=SNAPSHOT_LOCATIONS,
    validated=False,
    event="snapshotlocation",
)
SORTS = (STORAGE, SNAPSHOTS)
