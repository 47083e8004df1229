"""Credentials of locations: whose keys Velero uses, and what it says when they are not let in."""

import re

import httpx2

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster, refusal

REFUSED = (
    r'BackupStorageLocation "{}" is unavailable: rpc error: code = Unknown desc = operation error S3: ListObjectsV2, '
    r"https response error StatusCode: 403, RequestID: [^,]*, HostID: [^,]*, api error "
)
UNKNOWN = REFUSED + r"InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records\."
WRONG = REFUSED + (
    r"SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided\. "
    r"Check your key and signing method\."
)


def keyed(cluster: Cluster, identity: str, secret: str, **options: object) -> Json:
    """A location on the storage that asks for keys, with a Secret that holds some."""
    name = unique("keys")
    reference = cluster.keep_keys(name, identity, secret)
    return {**cluster.hands.locked(prefix=name, **options), "credential": reference}


def says(pattern: str, name: str, status: Json) -> bool:
    return status["phase"] == "Unavailable" and bool(re.fullmatch(pattern.format(name), status["message"]))


def test_keys_of_a_secret(fragile: Cluster) -> None:
    """A location is used with the keys of the Secret that it names: to look into it, to write, and to sign URLs."""
    fragile.hands.admit("own", "secret of own")
    namespace, backup = fragile.furnish("keyed"), unique("keyed")
    name = fragile.opened(keyed(fragile, "own", "secret of own"))
    made = fragile.back_up(backup, includedNamespaces=[namespace], storageLocation=name)

    assert made["status"]["phase"] == "Completed"
    assert fragile.download("BackupResults", backup).status_code == httpx2.codes.OK


def test_wrong_secret(fragile: Cluster) -> None:
    """With a wrong secret a location is Unavailable: SignatureDoesNotMatch."""
    fragile.hands.admit("wronged", "right")
    name, status = fragile.assessed(keyed(fragile, "wronged", "wrong"))

    assert says(WRONG, name, status), status


def test_unknown_keys(fragile: Cluster) -> None:
    """With keys that nobody knows a location is Unavailable: InvalidAccessKeyId."""
    name, status = fragile.assessed(keyed(fragile, "nobody", "nothing"))

    assert says(UNKNOWN, name, status), status


def test_keys_of_velero_itself(fragile: Cluster) -> None:
    """A location that names no Secret is used with Velero's own keys, also where these are not let in."""
    name, status = fragile.assessed(fragile.hands.locked(prefix="own"))

    assert says(UNKNOWN, name, status), status


def test_secret_without_keys(fragile: Cluster) -> None:
    """A Secret that holds no credential file is as good as no keys."""
    secret = unique("keyless")
    fragile.create_core("Secret", secret, "velero", stringData={"cloud": "nothing that a plugin could read"})
    fragile.settle_core("secrets", secret)
    name, status = fragile.assessed({**fragile.hands.locked(prefix=secret), "credential": {"name": secret, "key": "cloud"}})

    assert status["phase"] == "Unavailable"
    assert status["message"].startswith(f'BackupStorageLocation "{name}" is unavailable: rpc error: code = Unknown desc = ')


def test_missing_secret(fragile: Cluster) -> None:
    """A location whose Secret is not there is Unavailable, and names it; so is one whose Secret lacks the key."""
    secret = unique("missing")
    spec = {**fragile.hands.locked(prefix=secret), "credential": {"name": secret, "key": "cloud"}}
    first, absent = fragile.assessed(spec)
    fragile.create_core("Secret", secret, "velero", stringData={"other": ""})
    fragile.settle_core("secrets", secret)
    second, empty = fragile.assessed(spec)
    begin, why = 'BackupStorageLocation "{}" is unavailable: ', "unable to get credentials: unable to get key for secret: "

    assert absent["message"] == f'{begin.format(first)}{why}Secret "{secret}" not found'
    assert empty["message"] == f'{begin.format(second)}{why}"{secret}" secret is missing data for key "cloud"'


def test_rotation(fragile: Cluster) -> None:
    """When its keys are changed a location becomes Unavailable; it is Available again when its Secret has the new ones."""
    fragile.hands.admit("rotated", "old")
    spec = keyed(fragile, "rotated", "old")
    name = fragile.opened(spec)
    story = fragile.story("backupstoragelocations", name)
    fragile.hands.admit("rotated", "new")
    refused = story.until_phase("Unavailable")["status"]
    fragile.keep_keys(spec["credential"]["name"], "rotated", "new")
    back = story.until_phase("Available")["status"]

    assert says(WRONG, name, refused), refused
    assert "message" not in back


def test_withdrawn_keys(fragile: Cluster) -> None:
    """When its keys are withdrawn a location becomes Unavailable, and a URL that they have signed is worth nothing any more."""
    fragile.hands.admit("withdrawn", "secret")
    namespace, backup = fragile.furnish("withdrawn"), unique("withdrawn")
    name = fragile.opened(keyed(fragile, "withdrawn", "secret"))
    fragile.back_up(backup, includedNamespaces=[namespace], storageLocation=name)
    url = fragile.signed_url("BackupResults", backup)["status"]["downloadURL"]
    story = fragile.story("backupstoragelocations", name)
    fragile.hands.dismiss("withdrawn")
    refused = story.until_phase("Unavailable")["status"]

    assert says(UNKNOWN, name, refused), refused
    assert httpx2.get(url, trust_env=False, timeout=30).status_code == httpx2.codes.FORBIDDEN


def test_certificate_authority(fragile: Cluster) -> None:
    """Storage that speaks TLS is reached with its authority in caCert, or with none if it is not verified; else not."""
    fragile.hands.admit("secure", "secret")
    spec = keyed(fragile, "secure", "secret", secure=True)
    trusting = {**spec, "objectStorage": {**spec["objectStorage"], "caCert": fragile.hands.authority()}}
    careless = {**spec, "config": {**spec["config"], "insecureSkipTLSVerify": "true"}}
    for reached in (trusting, careless):
        fragile.opened(reached)
    _, unknown = fragile.assessed(spec)

    assert unknown["phase"] == "Unavailable"
    assert unknown["message"].endswith("tls: failed to verify certificate: x509: certificate signed by unknown authority")


def test_certificate_that_is_none(fragile: Cluster) -> None:
    """A caCert that is not base64 is refused by the API server."""
    spec = fragile.hands.location(prefix="uncertified", caCert="-----BEGIN CERTIFICATE-----")
    error = refusal(lambda: fragile.create("BackupStorageLocation", unique("uncertified"), spec=spec))

    assert error.status == 422
    assert error.body["details"]["causes"][0]["field"] == "spec.objectStorage.caCert"


def test_the_same_storage_twice(fragile: Cluster) -> None:
    """One bucket under two URLs is two locations, both Available; a Backup that is there already is not brought twice."""
    prefix, namespace, backup = unique("twice"), fragile.furnish("twice"), unique("twice")
    spec = fragile.hands.location(prefix=prefix)
    name, _ = fragile.assessed(spec)
    other, status = fragile.assessed(
        {
            **spec,
            "accessMode": "ReadOnly",
            "config": {**spec["config"], "s3Url": spec["config"]["s3Url"].replace("127.0.0.1", "localhost")},
        }
    )
    fragile.back_up(backup, includedNamespaces=[namespace], storageLocation=name)
    before = fragile.get("backups", backup)
    synced = fragile.story("backupstoragelocations", other)
    synced.until_object(lambda item: item["status"].get("lastSyncedTime"))

    assert status["phase"] == "Available"
    assert fragile.get("backups", backup)["metadata"]["uid"] == before["metadata"]["uid"]
    assert fragile.get("backups", backup)["spec"]["storageLocation"] == name
