"""Requests about locations: what a body may say, read, merged onto what there is, and judged. Pure.

What is wrong with a spec is told field by field, by tables: Velero's plugins refuse what they do not know, and stumble over
the rest only when they first need it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, get_args
from urllib.parse import urlsplit

from services.gateway import rules, validation
from services.gateway.locations.sealing import Credential, UnfitError, credential_text, form_of
from services.gateway.schemas import DEFAULT_DEADLINE
from services.gateway.validation import InvalidRequestError
from services.gateway.web.problems import FieldError, escape
from shared.contracts.backupspec import ObjectName
from shared.contracts.base import Wire
from shared.contracts.durations import GoDuration
from shared.contracts.locationspec import (
    NEEDED,
    SNAPSHOT_KEYS,
    STORAGE_KEYS,
    Provider,
    SnapshotLocationSpec,
    StorageLocationSpec,
    provider_of,
)


class ChangeStorageLocation(Wire):
    """`PATCH …/storage-locations/{name}`, as it is when the patch is merged. A `credential` replaces the one that there is.

    `deadline`: how long the command may wait for a cluster that is away, at most 168h.
    """

    spec: StorageLocationSpec
    credential: Credential | None = None
    deadline: GoDuration = DEFAULT_DEADLINE


class CreateStorageLocation(ChangeStorageLocation):
    """`POST …/storage-locations`. A `credential` becomes a Secret of the cluster, to which `spec.credential` then points."""

    name: ObjectName


class ChangeSnapshotLocation(Wire):
    """`PATCH …/snapshot-locations/{name}`, as it is when the patch is merged. A `credential` replaces the one that there is.

    `deadline`: how long the command may wait for a cluster that is away, at most 168h.
    """

    spec: SnapshotLocationSpec
    credential: Credential | None = None
    deadline: GoDuration = DEFAULT_DEADLINE


class CreateSnapshotLocation(ChangeSnapshotLocation):
    """`POST …/snapshot-locations`. A `credential` becomes a Secret of the cluster, to which `spec.credential` then points."""

    name: ObjectName


Change = ChangeStorageLocation | ChangeSnapshotLocation
Create = CreateStorageLocation | CreateSnapshotLocation
F = TypeVar("F", bound=Change)


def created(form: type[F], body: bytes) -> F:
    """Read a body that makes a location.

    Raises NotJsonError or InvalidRequestError.
    """
    request = _read(form, body)
    _judge(request, points=request.spec.credential is not None)
    return request


def changed(form: type[F], body: bytes, spec: Mapping[str, Any]) -> F:
    """Read a JSON merge patch (RFC 7396) of a location that has this spec. What is empty there counts as not said.

    Raises NotJsonError or InvalidRequestError.
    """
    patch = validation.patch_of(body)
    said = {field: value for field, value in patch.items() if field != "spec"}
    merged = validation.merged(_said(_spec_of(form), spec), patch.get("spec", {}))
    request = _read(form, json.dumps({**said, "spec": merged}).encode())
    within = patch.get("spec")
    _judge(request, points=isinstance(within, dict) and within.get("credential") is not None)
    return request


def _said(form: type[Wire], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cluster shows of a form, as far as it says something and is known here: the rest stays as it is there."""
    said: dict[str, Any] = {}
    for info in form.model_fields.values():
        shown = value.get(str(info.alias))
        within = next((each for each in (info.annotation, *get_args(info.annotation)) if _is_form(each)), None)
        if isinstance(shown, Mapping) and within is not None:
            shown = _said(within, shown)
        if shown not in (None, "", {}):
            said[str(info.alias)] = shown
    return said


def _spec_of(form: type[Wire]) -> type[Wire]:
    return StorageLocationSpec if issubclass(form, ChangeStorageLocation) else SnapshotLocationSpec


def _is_form(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Wire)


def _read(form: type[F], body: bytes) -> F:
    """Read a body strictly; what its model says of a spec as a whole is told field by field instead, where that can be."""
    try:
        return validation.read(form, body)
    except InvalidRequestError as invalid:
        fields = list(_spec_errors(form, invalid.value))
        whole = [error for error in invalid.errors if fields and error.get("pointer") == "/spec"]
        errors = [error for error in invalid.errors if error not in whole]
        raise InvalidRequestError([*errors, *fields], count=invalid.count - len(whole) + len(fields)) from None


def _judge(request: Change, *, points: bool) -> None:
    """Return if nothing in a well-formed request speaks against another part of it.

    `points`: the request itself names a Secret that is there.
    Raises InvalidRequestError.
    """
    errors = [*_value_errors(request.spec), *rules.DEADLINE.errors(request.deadline)]
    if request.credential is not None:
        errors += _credential_errors(request, request.credential, points=points)
    if errors:
        raise InvalidRequestError(errors)


def _credential_errors(request: Change, credential: Credential, *, points: bool) -> Iterator[FieldError]:
    if points:
        yield {"pointer": "/credential", "detail": "cannot be given beside spec.credential, which names a Secret that is there"}
        return
    form = form_of(credential)
    if form is not None and form.setting and isinstance(request.spec, SnapshotLocationSpec):
        yield {"pointer": "/credential", "detail": "is the key of a storage account, which opens no snapshots"}
        return
    try:
        credential_text(request.spec.provider, credential, request.spec.config)
    except UnfitError as unfit:
        yield {"pointer": unfit.pointer, "detail": unfit.detail}


# ---------------------------------------------------------------------- the fields of a spec


def _spec_errors(form: type[Wire], sent: Any) -> Iterator[FieldError]:
    """Find what no spec of its provider has, or what it lacks, in what was sent, well-formed or not."""
    storage = issubclass(form, ChangeStorageLocation)
    spec = sent.get("spec") if isinstance(sent, dict) else None
    if not isinstance(spec, dict):
        return
    config, name = spec.get("config", {}), spec.get("provider")
    provider = provider_of(name) if isinstance(name, str) else None
    if provider is not None and isinstance(config, dict):
        yield from _strange(provider, config, "/spec/config", STORAGE_KEYS if storage else SNAPSHOT_KEYS)
        for key in sorted(NEEDED.get(provider, frozenset()) - config.keys()) if storage else ():
            yield {"pointer": f"/spec/config/{key}", "detail": f"is required by provider {name}"}
    if spec.get("accessMode") == "ReadOnly" and spec.get("default") is True:
        yield {"pointer": "/spec/default", "detail": "cannot be true of a read-only location: no backup can be made in it"}


def _strange(
    provider: Provider, config: Mapping[str, Any], where: str, keys: Mapping[Provider, frozenset[str]]
) -> Iterator[FieldError]:
    known = keys[provider]
    for key in sorted(config.keys() - known):
        words = f"is not known to provider {provider}; it knows {', '.join(sorted(known))}"
        yield {"pointer": f"{where}/{escape(key)}", "detail": words}


def override_errors(provider: str, config: Mapping[str, str], where: str) -> Iterator[FieldError]:
    """Find what is wrong with single settings of a storage location, of which `where` points to them all."""
    short = provider_of(provider)
    if short is not None:
        yield from _strange(short, config, where, STORAGE_KEYS)
    yield from _setting_errors(provider, config, where)


def _setting_errors(provider: str, config: Mapping[str, str], where: str) -> Iterator[FieldError]:
    short = provider_of(provider)
    for key, value in sorted(config.items()):
        rule = VALUES.get((short, key)) if short else None
        if words := _shows_secret(value) or (rule(value) if rule else None):
            yield {"pointer": f"{where}/{escape(key)}", "detail": words}


def _value_errors(spec: StorageLocationSpec | SnapshotLocationSpec) -> Iterator[FieldError]:
    """Find values in a well-formed spec that its plugin could not use, or that would show a secret."""
    yield from _setting_errors(spec.provider, spec.config, "/spec/config")
    if isinstance(spec, StorageLocationSpec) and spec.object_storage.ca_cert and spec.object_storage.ca_cert_ref:
        yield {
            "pointer": "/spec/objectStorage/caCertRef",
            "detail": "cannot stand beside caCert: Velero takes only one of them",
        }


_TRUTHS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})


def _truth(value: str) -> str | None:
    return None if value in _TRUTHS else "must be true or false, as a string"


def _address(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    return None if usable else "must be an address that begins with http:// or https://"


def _count(value: str) -> str | None:
    return (
        None if value.isascii() and value.isdigit() and int(value[:18]) > 0 else "must be a whole number above 0, as a string"
    )


def _shows_secret(value: str) -> str | None:
    """Refuse an address with a user or a password in it: everybody who sees the location would see them."""
    address, found, _ = value.partition("://")[2].partition("@")
    return "must not carry a user or a password; give a credential instead" if found and "/" not in address else None


VALUES: Final[Mapping[tuple[Provider, str], Callable[[str], str | None]]] = {
    (Provider.AWS, "s3ForcePathStyle"): _truth,
    (Provider.AWS, "insecureSkipTLSVerify"): _truth,
    (Provider.AWS, "enableSharedConfig"): _truth,
    (Provider.AWS, "s3Url"): _address,
    (Provider.AWS, "publicUrl"): _address,
    (Provider.AZURE, "useAAD"): _truth,
    (Provider.AZURE, "incremental"): _truth,
    (Provider.AZURE, "storageAccountURI"): _address,
    (Provider.AZURE, "activeDirectoryAuthorityURI"): _address,
    (Provider.AZURE, "blockSizeInBytes"): _count,
}
"""What the text of a setting must be; of others Velero's plugins take any."""
