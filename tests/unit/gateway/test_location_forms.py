"""Requests about locations: told field by field what is wrong, merged onto what a cluster shows, and no secret repeated."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.locations.forms import (
    VALUES,
    ChangeSnapshotLocation,
    ChangeStorageLocation,
    CreateSnapshotLocation,
    CreateStorageLocation,
    changed,
    created,
)
from services.gateway.validation import InvalidRequestError, merged
from shared.contracts.locationspec import SNAPSHOT_KEYS, STORAGE_KEYS, spec_digest

MARKER = "Zx9-marker-of-a-secret"
KEYS = {"accessKeyId": MARKER, "secretAccessKey": MARKER}
AWS: dict[str, Any] = {"provider": "aws", "objectStorage": {"bucket": "velero"}}
AZURE = {**AWS, "provider": "velero.io/azure", "config": {"storageAccount": "acme"}}
PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


def body(spec: Any = AWS, **facts: Any) -> bytes:
    return json.dumps({"name": "main", "spec": spec, **facts}).encode()


def configured(spec: dict[str, Any] = AWS, **config: str) -> bytes:
    return body({**spec, "config": {**spec.get("config", {}), **config}})


BAD: list[tuple[str, bytes, str]] = [
    ("upper case name", body(name="Main"), "/name"),
    ("no spec", b'{"name": "main"}', "/spec"),
    ("spec that is none", body("aws"), "/spec"),
    ("no provider", body({"objectStorage": {"bucket": "velero"}}), "/spec/provider"),
    ("no bucket", body({"provider": "aws", "objectStorage": {}}), "/spec/objectStorage/bucket"),
    ("bucket with a path", body({**AWS, "objectStorage": {"bucket": "a/b"}}), "/spec/objectStorage/bucket"),
    ("no certificate", body({**AWS, "objectStorage": {"bucket": "a", "caCert": "x"}}), "/spec/objectStorage/caCert"),
    (
        "two certificates",
        body({**AWS, "objectStorage": {"bucket": "a", "caCert": PEM, "caCertRef": {"name": "a", "key": "b"}}}),
        "/spec/objectStorage/caCertRef",
    ),
    ("unknown mode", body({**AWS, "accessMode": "Both"}), "/spec/accessMode"),
    ("read-only default", body({**AWS, "accessMode": "ReadOnly", "default": True}), "/spec/default"),
    ("odd duration", body({**AWS, "backupSyncPeriod": "soon"}), "/spec/backupSyncPeriod"),
    ("unknown field", body({**AWS, "colour": "red"}), "/spec/colour"),
    ("unknown setting of aws", configured(nonsense="1"), "/spec/config/nonsense"),
    ("setting of another provider", configured(AZURE, region="1"), "/spec/config/region"),
    ("azure without an account", body({**AZURE, "config": {}}), "/spec/config/storageAccount"),
    ("truth that is none", configured(s3ForcePathStyle="yes"), "/spec/config/s3ForcePathStyle"),
    ("address that is none", configured(s3Url="minio:9000"), "/spec/config/s3Url"),
    ("address without a host", configured(s3Url="http://"), "/spec/config/s3Url"),
    ("address with an odd port", configured(s3Url="http://minio:x"), "/spec/config/s3Url"),
    ("address with a password", configured(s3Url=f"https://anna:{MARKER}@minio"), "/spec/config/s3Url"),
    ("count that is none", configured(AZURE, blockSizeInBytes="0"), "/spec/config/blockSizeInBytes"),
    ("a number in the config", body({**AWS, "config": {"region": 1}}), "/spec/config/region"),
    ("deadline of nothing", body(deadline="0s"), "/deadline"),
    ("deadline of a year", body(deadline="8760h"), "/deadline"),
    ("credential of another provider", body(credential={"storageAccountKey": MARKER}), "/credential"),
    ("half a credential", body(credential={"accessKeyId": MARKER}), "/credential"),
    ("credential that is text", body(credential=MARKER), "/credential"),
    ("odd part of a credential", body(credential={**KEYS, "sessionToken": [MARKER]}), "/credential/sessionToken"),
    ("credential with a line break", body(credential={**KEYS, "sessionToken": f"{MARKER}\n"}), "/credential/sessionToken"),
    (
        "credential beside a Secret",
        body({**AWS, "credential": {"name": "cloud", "key": "cloud"}}, credential=KEYS),
        "/credential",
    ),
    ("key of an account without its name", body(AZURE, credential={"storageAccountKey": MARKER}), "/spec/config"),
]


@pytest.mark.parametrize(("raw", "pointer"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_each_mistake_is_told_at_its_field_and_alone(raw: bytes, pointer: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        created(CreateStorageLocation, raw)
    assert [error.get("pointer") for error in caught.value.errors] == [pointer]
    assert caught.value.count == 1
    assert MARKER not in str(caught.value)


def test_all_mistakes_of_a_spec_are_told_at_once() -> None:
    odd = {**AZURE, "config": {"region": "x", "zone": "y"}, "accessMode": "ReadOnly", "default": True, "colour": 1}
    with pytest.raises(InvalidRequestError) as caught:
        created(CreateStorageLocation, body(odd))
    assert {error.get("pointer") for error in caught.value.errors} == {
        *("/spec/config/region", "/spec/config/zone", "/spec/config/storageAccount", "/spec/default", "/spec/colour")
    }


def test_what_a_provider_knows_is_taken_and_a_plugin_of_somebody_elses_takes_anything() -> None:
    for keys, form, plain in (STORAGE_KEYS, CreateStorageLocation, AWS), (SNAPSHOT_KEYS, CreateSnapshotLocation, {}):
        for provider, known in keys.items():
            good = {"_truth": "true", "_address": "https://a.example:9000/x", "_count": "5"}
            config = {key: good[VALUES[provider, key].__name__] if (provider, key) in VALUES else "any" for key in known}
            assert created(form, body({**plain, "provider": provider.value, "config": config})).spec.config == config
    strange = {**AWS, "provider": "example.org/tape", "config": {"anything": "at all"}}
    assert created(CreateStorageLocation, body(strange, credential={"file": MARKER})).credential is not None


def test_the_key_of_a_storage_account_opens_no_snapshots() -> None:
    with pytest.raises(InvalidRequestError, match="opens no snapshots"):
        created(CreateSnapshotLocation, body({"provider": "azure"}, credential={"storageAccountKey": MARKER}))
    principal = {"tenantId": "t", "clientId": "c", "clientSecret": "s"}
    assert created(CreateSnapshotLocation, body({"provider": "azure"}, credential=principal)).deadline == "1h"


SHOWN: dict[str, Any] = {
    "provider": "aws",
    "accessMode": "ReadWrite",
    "backupSyncPeriod": "1m0s",
    "config": {"region": "eu", "s3Url": "http://minio:9000"},
    "credential": {"name": "leeward-bsl-main", "key": "cloud", "optional": True},
    "default": False,
    "objectStorage": {"bucket": "velero", "prefix": ""},
    "fieldOfANewerVelero": {"a": 1},
}


def patched(patch: Any, spec: dict[str, Any] = SHOWN) -> dict[str, Any]:
    wire = changed(ChangeStorageLocation, json.dumps(patch).encode(), spec).spec.model_dump(by_alias=True, exclude_none=True)
    return {name: value for name, value in wire.items() if value not in ({}, False)}


def test_a_patch_changes_what_it_says_and_nothing_else() -> None:
    same = patched({})
    assert same["credential"] == {"name": "leeward-bsl-main", "key": "cloud"}
    assert spec_digest(same) == spec_digest(
        {**SHOWN, "backupSyncPeriod": same["backupSyncPeriod"], "credential": same["credential"], "fieldOfANewerVelero": None}
    )
    moved = patched({"spec": {"config": {"region": None, "s3ForcePathStyle": "true"}, "accessMode": "ReadOnly"}})
    assert moved["config"] == {"s3Url": "http://minio:9000", "s3ForcePathStyle": "true"}
    assert moved["accessMode"] == "ReadOnly"
    assert "config" not in patched({"spec": {"config": None}})


def test_a_credential_alone_takes_the_place_of_the_one_that_there_is() -> None:
    rotated = changed(ChangeStorageLocation, json.dumps({"credential": KEYS}).encode(), SHOWN)
    assert rotated.credential is not None
    both = json.dumps({"credential": KEYS, "spec": {"credential": {"name": "mine", "key": "cloud"}}}).encode()
    with pytest.raises(InvalidRequestError, match="cannot be given beside"):
        changed(ChangeStorageLocation, both, SHOWN)
    given_back = {"credential": KEYS, "spec": {"credential": None}}
    assert changed(ChangeStorageLocation, json.dumps(given_back).encode(), SHOWN).spec.credential is None


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ([], ""),
        ({"spec": None}, "/spec"),
        ({"spec": []}, "/spec"),
        ({"name": "other"}, "/name"),
        ({"spec": {"provider": "azure"}}, "/spec/config/storageAccount"),
        ({"spec": {"objectStorage": None}}, "/spec/objectStorage"),
        ({"credential": {"file": [MARKER]}}, "/credential/file"),
    ],
    ids=str,
)
def test_a_patch_is_judged_by_what_it_comes_to(patch: Any, pointer: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        changed(ChangeStorageLocation, json.dumps(patch).encode(), SHOWN)
    assert pointer in {error.get("pointer") for error in caught.value.errors}
    assert MARKER not in str(caught.value)


def test_a_snapshot_location_is_patched_likewise() -> None:
    shown = {"provider": "aws", "config": {"region": "eu"}}
    patch = json.dumps({"spec": {"config": {"region": "us"}}, "deadline": "2h"}).encode()
    wanted = changed(ChangeSnapshotLocation, patch, shown)
    assert (wanted.spec.config, wanted.deadline) == ({"region": "us"}, "2h")


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5), lambda each: st.dictionaries(st.sampled_from("abc"), each, max_size=3)
)


@given(JSON, st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_a_patch_that_is_in_already_changes_nothing(target: Any, patch: Any) -> None:
    once = merged(target, patch)
    assert merged(once, patch) == once
