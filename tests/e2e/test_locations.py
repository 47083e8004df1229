"""Storage locations made through the API on a real Velero: whose keys are used, and what is said when they are not let in."""

import base64
import time

import pytest

from tests.e2e.places import NOBODY, address, judged, keys, left_alone, location_path, made, missing, place, secret_path, shown
from tests.e2e.product import Product, until
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet

UNKNOWN = "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records."
WRONG = "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided."


def test_a_location_with_a_credential_becomes_available_takes_a_backup_and_goes_with_its_secret(
    product: Product, fleet: Fleet
) -> None:
    cluster = fleet["eu1"]
    cluster.seed_workload("vaulted")
    body = {"name": "vaulted", "spec": place(fleet, "vaulted"), "credential": keys(fleet, "vaulted", "secret-of-vaulted")}
    answer = made(product, "eu1", body)
    row = judged(product, "eu1", "vaulted", "Available")
    assert (row["bucket"], row["prefix"], row["message"]) == ("vault", "vaulted", None)
    secret = row["spec"]["credential"]["name"]
    assert (secret[:-8], row["spec"]["credential"]["key"]) == ("leeward-bsl-vaulted-", "cloud")
    held = cluster.api.get(secret_path(secret))
    assert b"aws_secret_access_key" in base64.b64decode(held["data"]["cloud"])
    assert held["metadata"]["labels"]["leeward.dev/location"] == "vaulted"
    assert "secret-of-vaulted" not in answer.text + product.get(address("eu1", "vaulted")).text

    left_alone(product, "eu1", "vaulted")
    spec = {"storageLocation": "vaulted", "snapshotVolumes": False}
    backup = product.made("in-the-vault", namespaces=["vaulted"], spec=spec, Prefer="wait=25")
    assert backup["outcome"] == "Completed"
    assert backup["size"]["metadataBytes"] > 0
    used = product.delete(address("eu1", "vaulted"))
    assert used.status_code == 409, used.text
    gone = product.delete(f"{address('eu1', 'vaulted')}?force=true", Prefer="wait=50")
    assert gone.status_code in {200, 204}, gone.text
    assert missing(cluster, location_path("vaulted"))
    assert missing(cluster, secret_path(secret))
    assert not missing(cluster, velero_path("backups", "in-the-vault"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong-secret", WRONG),
        ("unknown-keys", UNKNOWN),
        ("no-keys", UNKNOWN),
        ("wrong-bucket", "NoSuchBucket: The specified bucket does not exist"),
        ("refused-port", "dial tcp 127.0.0.1:9: connect: connection refused"),
    ],
)
def test_what_is_wrong_with_a_location_is_shown_within_a_minute_in_veleros_words(
    product: Product, fleet: Fleet, name: str, words: str
) -> None:
    right = keys(fleet, "mistaken", "right")
    forms = {
        "wrong-secret": (place(fleet, name), {**right, "secretAccessKey": "wrong"}),
        "unknown-keys": (place(fleet, name), {**right, "accessKeyId": "nobody"}),
        "no-keys": (place(fleet, name), None),
        "wrong-bucket": (place(fleet, name, bucket="no-such-bucket"), right),
        "refused-port": (place(fleet, name, url=NOBODY), right),
    }
    spec, credential = forms[name]
    began = time.monotonic()
    made(product, "us1", {"name": name, "spec": spec, **({"credential": credential} if credential else {})})
    # Velero may miss a Secret that was made a moment before, and says so until it looks again.
    row = until(
        words, lambda: (r := shown(product, "us1", name)).get("status") == "Unavailable" and words in r["message"] and r, 60
    )
    assert time.monotonic() - began < 60
    assert "right" not in row["message"]
    assert product.delete(address("us1", name), Prefer="wait=50").status_code in {200, 204}
    until("not shown any more", lambda: not shown(product, "us1", name))


def test_a_credential_is_rotated_and_a_stale_change_is_refused(product: Product, fleet: Fleet) -> None:
    body = {"name": "rotated", "spec": place(fleet, "rotated"), "credential": keys(fleet, "rotated", "old")}
    made(product, "eu1", body)
    judged(product, "eu1", "rotated", "Available")
    etag = product.get(address("eu1", "rotated")).headers["etag"]
    new = keys(fleet, "rotated", "new")
    former = judged(product, "eu1", "rotated", "Unavailable")["spec"]["credential"]["name"]

    answer = product.patch(address("eu1", "rotated"), {"credential": new})
    assert answer.status_code in {200, 202}, answer.text
    row = judged(product, "eu1", "rotated", "Available")
    until("the former Secret is gone", lambda: missing(fleet["eu1"], secret_path(former)))
    assert not missing(fleet["eu1"], secret_path(row["spec"]["credential"]["name"]))
    rotated = product.get(address("eu1", "rotated")).headers["etag"]
    assert rotated != etag
    etag = rotated

    changed = product.patch(address("eu1", "rotated"), {"spec": {"validationFrequency": "30s"}})
    assert changed.status_code in {200, 202}, changed.text
    until("another one", lambda: product.get(address("eu1", "rotated")).headers["etag"] != etag)
    stale = product.delete(address("eu1", "rotated"), **{"If-Match": etag})
    assert stale.status_code == 412, stale.text
    assert product.delete(address("eu1", "rotated"), Prefer="wait=50").status_code in {200, 204}


def test_the_default_moves_to_a_new_location_and_back(product: Product, fleet: Fleet) -> None:
    cluster = fleet["eu1"]
    body = {
        "name": "second-default",
        "spec": place(fleet, "second-default", default=True),
        "credential": keys(fleet, "second", "secret"),
    }
    made(product, "eu1", body)
    try:
        until("the old one stops being it", lambda: not shown(product, "eu1", "default")["default"], 60)
        assert judged(product, "eu1", "second-default", "Available")["default"] is True
    finally:
        product.delete(f"{address('eu1', 'second-default')}?force=true", Prefer="wait=50")
        cluster.api.patch(location_path("default"), {"spec": {"default": True}})
    until("the old one is it again", lambda: shown(product, "eu1", "default")["default"], 60)


def test_two_owners_of_one_place_are_refused_unless_a_person_says_so(product: Product, fleet: Fleet) -> None:
    credential = keys(fleet, "shared", "secret")
    made(product, "eu1", {"name": "owner", "spec": place(fleet, "shared"), "credential": credential})
    judged(product, "eu1", "owner", "Available")
    second = {"name": "intruder", "spec": place(fleet, "shared"), "credential": credential}
    refused = product.post(address("us1"), second)
    assert refused.status_code == 409, refused.text
    assert missing(fleet["us1"], location_path("intruder"))
    made(product, "us1", {**second, "name": "reader", "spec": place(fleet, "shared", accessMode="ReadOnly")})
    made(product, "us1", second, "?allowSharedBucket=true")
    for cluster, name in (("us1", "reader"), ("us1", "intruder"), ("eu1", "owner")):
        assert product.delete(f"{address(cluster, name)}?force=true", Prefer="wait=50").status_code in {200, 204}


def test_a_snapshot_location_is_made_and_removed(product: Product, fleet: Fleet) -> None:
    path, cluster = "/clusters/us1/snapshot-locations", fleet["us1"]
    spec = {"provider": "example.com/disks", "config": {"region": "us-east-1"}}
    disks = {"name": "disks", "spec": spec, "credential": {"file": "token of disks"}}
    answer = product.post(path, disks, timeout=60, Prefer="wait=50")
    assert answer.status_code == 201, answer.text
    row = until("shown", lambda: (a := product.get(f"{path}/disks")).status_code == 200 and a.json())
    assert (row["provider"], row["status"]) == ("example.com/disks", "Unchecked")
    secret = row["spec"]["credential"]["name"]
    assert secret.startswith("leeward-vsl-disks-")
    assert base64.b64decode(cluster.api.get(secret_path(secret))["data"]["cloud"]) == b"token of disks"
    assert product.delete(f"{path}/disks", Prefer="wait=50").status_code in {200, 204}
    assert missing(cluster, velero_path("volumesnapshotlocations", "disks"))
    assert missing(cluster, secret_path(secret))
