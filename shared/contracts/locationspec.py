"""Velero's specs of storage and snapshot locations (v1.18), and what is known of the providers that Velero itself ships.

Sources: the CRDs `backupstoragelocations.velero.io` and `volumesnapshotlocations.velero.io`; the configuration pages of
Velero's plugins for AWS, Microsoft Azure and GCP, which refuse every key that they do not know.
"""

import base64
import binascii
import hashlib
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, StringConstraints, model_validator

from shared.contracts.backupspec import ObjectName
from shared.contracts.base import Wire
from shared.contracts.durations import GoDuration

AccessMode = Literal["ReadWrite", "ReadOnly"]
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_PLUGIN = "velero.io/"


class Provider(StrEnum):
    """The providers whose fields are checked. Any other is a plugin of somebody else's, and passes as it is."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


STORAGE_KEYS: Final[Mapping[Provider, frozenset[str]]] = {
    Provider.AWS: frozenset(
        {
            "region",
            "s3ForcePathStyle",
            "s3Url",
            "publicUrl",
            "kmsKeyId",
            "customerKeyEncryptionFile",
            "customerKeyEncryptionSecret",
            "profile",
            "serverSideEncryption",
            "insecureSkipTLSVerify",
            "enableSharedConfig",
            "tagging",
            "checksumAlgorithm",
        }
    ),
    Provider.AZURE: frozenset(
        {
            "resourceGroup",
            "storageAccount",
            "storageAccountKeyEnvVar",
            "blockSizeInBytes",
            "subscriptionId",
            "storageAccountURI",
            "useAAD",
            "activeDirectoryAuthorityURI",
        }
    ),
    Provider.GCP: frozenset({"kmsKeyName", "serviceAccount", "storeEndpoint"}),
}
"""What a storage location of a provider may be configured with."""

SNAPSHOT_KEYS: Final[Mapping[Provider, frozenset[str]]] = {
    Provider.AWS: frozenset({"region", "profile", "enableSharedConfig"}),
    Provider.AZURE: frozenset({"apiTimeout", "resourceGroup", "subscriptionId", "incremental", "tags"}),
    Provider.GCP: frozenset({"snapshotLocation", "project", "volumeProject", "snapshotType"}),
}
"""What a volume snapshot location of a provider may be configured with."""

NEEDED: Final[Mapping[Provider, frozenset[str]]] = {Provider.AZURE: frozenset({"storageAccount"})}
"""Without which the storage of a provider cannot be found."""


def provider_of(name: str) -> Provider | None:
    """Return the provider, which Velero takes with and without its own domain in front; None for somebody else's."""
    short = name.removeprefix(_PLUGIN)
    return Provider(short) if short in set(Provider) else None


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and what lies below a prefix of it. `account`: of Azure, where only within one a container has its name once.

    Its address is not a part of it: one storage may have several.
    """

    provider: str
    account: str
    bucket: str
    prefix: str


def place_of(spec: Mapping[str, Any]) -> Place:
    """Return the place that the spec of a storage location names; what is not said, or no text, is empty."""
    storage, config = _mapping(spec.get("objectStorage")), _mapping(spec.get("config"))
    provider = _text(spec.get("provider")).removeprefix(_PLUGIN)
    account = _text(config.get("storageAccount")) if provider == Provider.AZURE else ""
    return Place(provider, account, _text(storage.get("bucket")), _text(storage.get("prefix")).strip("/"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _bucket(value: str) -> str:
    if not value.strip() or "/" in value:
        raise ValueError("must be the name of a bucket or container; what lies below it is the prefix")
    return value


def _certificates(value: str) -> str:
    """Return certificates as Velero takes them: base64 of PEM. PEM itself is taken as well."""
    text = value.strip()
    pem = text if text.startswith("-----BEGIN") else None
    try:
        pem = pem or base64.b64decode(text, validate=True).decode("ascii")
        ssl.PEM_cert_to_DER_cert(pem.strip().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----")
    except (ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("must be certificates in PEM, or base64 of that") from error
    return base64.b64encode(pem.encode()).decode()


def _secret_key(value: str) -> str:
    if not _SECRET_KEY.fullmatch(value):
        raise ValueError("must be a key of a Secret: letters, digits, '-', '_' and '.'")
    return value


ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9][-a-z0-9./]*$")]


class SecretKey(Wire):
    """A key of a Secret that lies in Velero's namespace already."""

    name: ObjectName
    key: Annotated[str, AfterValidator(_secret_key)]


class ObjectStorage(Wire):
    """Where in the object storage. `prefix` goes without slashes at its ends; `caCert` is public: it is shown again."""

    bucket: Annotated[str, AfterValidator(_bucket), StringConstraints(max_length=253)]
    prefix: Annotated[str, StringConstraints(max_length=900)] | None = None
    ca_cert: Annotated[str, AfterValidator(_certificates)] | None = None
    ca_cert_ref: SecretKey | None = None


def _check(config: Mapping[str, str], known: frozenset[str] | None, needed: frozenset[str] = frozenset()) -> None:
    if known is not None and (strange := sorted(config.keys() - known)):
        raise ValueError(
            f"config has {', '.join(strange)}, which the provider does not know; it knows {', '.join(sorted(known))}"
        )
    if missing := sorted(needed - config.keys()):
        raise ValueError(f"config needs {', '.join(missing)}")


class StorageLocationSpec(Wire):
    """A BackupStorageLocation. `credential` points at a Secret that is there; one that is given comes beside the spec."""

    provider: ProviderName
    object_storage: ObjectStorage
    config: dict[str, str] = {}
    credential: SecretKey | None = None
    access_mode: AccessMode | None = None
    default: bool | None = None
    backup_sync_period: GoDuration | None = None
    validation_frequency: GoDuration | None = None

    @model_validator(mode="after")
    def _fits_provider(self) -> Self:
        provider = provider_of(self.provider)
        if provider:
            _check(self.config, STORAGE_KEYS[provider], NEEDED.get(provider, frozenset()))
        if self.access_mode == "ReadOnly" and self.default:
            raise ValueError("a read-only location cannot be the default: no backup can be made in it")
        return self


class SnapshotLocationSpec(Wire):
    """A VolumeSnapshotLocation."""

    provider: ProviderName
    config: dict[str, str] = {}
    credential: SecretKey | None = None

    @model_validator(mode="after")
    def _fits_provider(self) -> Self:
        provider = provider_of(self.provider)
        if provider:
            _check(self.config, SNAPSHOT_KEYS[provider])
        return self


def manifest_spec(spec: StorageLocationSpec | SnapshotLocationSpec) -> dict[str, Any]:
    """Return a spec as Kubernetes is given it: without what is not said."""
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def spec_digest(spec: Mapping[str, Any]) -> str:
    """Return what stands for the spec of a location as the cluster shows it: the ETag of the location.

    Not its resourceVersion, which changes with every validation. What is empty counts as not said.
    """
    said = json.dumps(_said(spec), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _said(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: told for k, v in value.items() if (told := _said(v)) not in (None, "", {}, [], False)}
    return [_said(each) for each in value] if isinstance(value, list) else value
