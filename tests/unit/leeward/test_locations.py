"""`leeward location` and `snapshot-location`: what is sent, what is waited for, and what is said; the gateway is a script."""

import json

import pytest

from leeward import client
from leeward.clusters import looking as clusters
from leeward.errors import CliError, Exit
from leeward.locations import deleting, looking, settling, writing
from leeward.locations.sorts import SNAPSHOTS, SORTS, STORAGE
from leeward.output import Format
from leeward.request import at, body_of
from services.gateway.locations.forms import CreateSnapshotLocation, CreateStorageLocation, created
from tests.unit.leeward.script import Script, problem, run

MARK = "MARK0123456789"
AT, LATER = "2026-03-01T12:00:00Z", "2026-03-01T12:00:30Z"
MADE = {"provider": "aws", "bucket": "velero", "config": ["region=eu-west-1"]}
VALUES = {
    "provider": "aws",
    "bucket": "velero",
    "prefix": "eu1",
    "config": ["region=eu-west-1"],
    "cacert": "ca.pem",
    "access_mode": "ReadOnly",
    "default": False,
    "backup_sync_period": "1m",
    "validation_frequency": "1m",
    "credential_secret": "cloud=keys",
}
FORMS = {STORAGE.command: CreateStorageLocation, SNAPSHOTS.command: CreateSnapshotLocation}
CERTIFICATE = (
    "-----BEGIN CERTIFICATE-----\nMIIBeDCCAR2gAwIBAgIUDSb0fZ6VJyqLCL8U0Ns0mQhjYqAwCgYIKoZIzj0EAwIw\n-----END CERTIFICATE-----\n"
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(settling, "_PAUSE", 0.0)
    (tmp_path / "keys").write_text(f"[default]\naws_access_key_id=AKIA\naws_secret_access_key={MARK}\n")
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    monkeypatch.chdir(tmp_path)


def location(status="Pending", **facts):
    spec = {"provider": "aws", "objectStorage": {"bucket": "velero"}, "config": {"region": "eu-west-1", "s3Url": "http://s3"}}
    plain = {"id": "l1", "name": "vault", "cluster": "eu1", "namespace": "velero", "provider": "aws", "bucket": "velero"}
    return {**plain, "status": status, "lastValidatedAt": None, "spec": spec, **facts}


def operation(state, **facts):
    return {"id": "o1", "cluster": "eu1", "state": state, "refusal": None, "deadline": AT, **facts}


def there(item, *later):
    """Answers of a fleet that has this location, which then looks as it says."""
    return {
        "GET /storage-locations": {"items": [item], "nextCursor": None},
        "GET /clusters/eu1/storage-locations/vault": [item, *later],
    }


@pytest.mark.parametrize(
    ("sort", "field"),
    [(sort, field) for sort in SORTS for field in sort.fields],
    ids=lambda x: getattr(x, "parameter", getattr(x, "command", "")),
)
def test_every_option_fills_a_place_that_the_gateway_takes(sort, field):
    usual = {"provider": "aws", "bucket": "velero"} if sort is STORAGE else {"provider": "aws"}
    body, options = body_of({**usual, "name": "vault", field.parameter: VALUES[field.parameter]}, sort.form)
    created(FORMS[sort.command], json.dumps(body).encode())
    assert at(body, field.pointer) not in (None, [])
    assert options[field.pointer] == field.option


async def test_it_is_made_with_a_credential_that_nobody_sees():
    gateway = Script({"POST /clusters/eu1/storage-locations": location()})
    made = {**MADE, "cluster": "eu1", "credential_file": "keys", "allow_shared_bucket": True}
    out, err, code, error = await run(gateway, writing.create, "vault", sort_=STORAGE, **made)
    assert (out, code, error) == ("storage location vault of cluster eu1 is made, and Pending\n", None, None)
    assert gateway.sent("POST /clusters/eu1/storage-locations") == [
        {
            "name": "vault",
            "spec": {"provider": "aws", "objectStorage": {"bucket": "velero"}, "config": {"region": "eu-west-1"}},
            "credential": {"accessKeyId": "AKIA", "secretAccessKey": MARK},
        }
    ]
    assert gateway.asked[0][2] == {"allowSharedBucket": "true"}
    assert MARK not in out + err


@pytest.mark.parametrize("status", [422, 409, 503])
async def test_no_error_shows_the_credential(monkeypatch, status):
    monkeypatch.setattr(client, "_PAUSES", (0.0,))
    errors = [{"pointer": "/credential/secretAccessKey", "detail": "is odd"}, {"pointer": "/credential", "detail": "is odd"}]
    odd = problem(status, "invalid-request" if status == 422 else "refused", errors=errors)
    gateway = Script(
        {"POST /clusters/eu1/storage-locations": odd, "PATCH /clusters/eu1/storage-locations/vault": odd, **there(location())}
    )
    for command, given in (
        (writing.create, {**MADE, "cluster": "eu1"}),
        (writing.edit, {"bucket": "other"}),
        (writing.rotate, {}),
    ):
        out, err, _, error = await run(gateway, command, "vault", sort_=STORAGE, credential_file="keys", **given)
        assert error is not None
        assert MARK not in out + err + error.words + repr(error.hints)


async def test_it_is_waited_for_until_velero_has_looked():
    looks = [problem(404, "not-found"), location(), location("Available", lastValidatedAt=AT)]
    gateway = Script(
        {
            "POST /clusters/eu1/storage-locations": operation("Queued"),
            "GET /operations/o1": [operation("Queued"), operation("Succeeded")],
            "GET /clusters/eu1/storage-locations/vault": looks,
        }
    )
    out, err, _, error = await run(gateway, writing.create, "vault", sort_=STORAGE, cluster="eu1", wait=True, **MADE)
    assert (out, error) == ("storage location vault of cluster eu1 is made, and Available\n", None)
    assert err.splitlines()[0] == "Queued: waiting for cluster eu1"


async def test_one_that_velero_cannot_use_is_told_in_its_words():
    bad = location("Unavailable", lastValidatedAt=AT, message="InvalidAccessKeyId: status code 403")
    gateway = Script({"POST /clusters/eu1/storage-locations": location(), "GET /clusters/eu1/storage-locations/vault": bad})
    out, _, _, error = await run(gateway, writing.create, "vault", sort_=STORAGE, cluster="eu1", wait=True, **MADE)
    assert "is made, and Unavailable" in out
    assert (error.exit_code, error.words) == (Exit.FAILED, "Velero cannot use it: InvalidAccessKeyId: status code 403")


async def test_a_cluster_that_is_away_makes_it_later():
    gateway = Script({"POST /clusters/eu1/storage-locations": operation("Queued")})
    out, err, _, error = await run(gateway, writing.create, "vault", sort_=STORAGE, cluster="eu1", **MADE)
    assert ("cluster eu1 has not answered yet" in out, "leeward operation get o1" in err, error) == (True, True, None)


async def test_a_refusal_that_comes_late_is_told():
    refusal = {"code": "LocationTaken", "pointer": "/name", "detail": "Cluster eu1 already has one."}
    answers = {
        "POST /clusters/eu1/storage-locations": operation("Queued"),
        "GET /operations/o1": operation("Rejected", refusal=refusal),
    }
    _, _, _, error = await run(Script(answers), writing.create, "vault", sort_=STORAGE, cluster="eu1", wait=True, **MADE)
    assert (error.words, error.exit_code) == ("Cluster eu1 already has one.", Exit.FAILED)


async def test_a_change_says_only_what_changes_of_what_was_looked_at():
    gateway = Script({**there(location("Available")), "PATCH /clusters/eu1/storage-locations/vault": location("Available")})
    given = {"config": ["region=eu-west-1"], "default": True}
    out, _, _, error = await run(gateway, writing.edit, "vault", sort_=STORAGE, unset=["prefix"], **given)
    assert (out, error) == ("storage location vault of cluster eu1 is changed, and Available\n", None)
    (_, body, _, headers) = gateway.asked[-1]
    assert body == {"spec": {"config": {"s3Url": None}, "default": True}}
    assert headers["if-match"] == '"e1"'


async def test_what_is_so_already_is_not_asked_for():
    gateway = Script(there(location("Available")))
    _, _, _, error = await run(gateway, writing.edit, "vault", sort_=STORAGE, bucket="velero")
    assert (error.exit_code, "is like that already" in error.words) == (Exit.USAGE, True)


async def test_that_a_bucket_is_shared_is_a_change_of_its_own():
    gateway = Script({**there(location("Available")), "PATCH /clusters/eu1/storage-locations/vault": location("Available")})
    out, _, _, error = await run(gateway, writing.edit, "vault", sort_=STORAGE, allow_shared_bucket=True)
    assert (out, error) == ("storage location vault of cluster eu1 is changed, and Available\n", None)
    assert [asked[1:3] for asked in gateway.asked if asked[0].startswith("PATCH")] == [({}, {"allowSharedBucket": "true"})]
    _, _, _, error = await run(
        Script(there(location("Available", sharedBucket=True))), writing.edit, "vault", sort_=STORAGE, allow_shared_bucket=True
    )
    assert (error.exit_code, "is like that already" in error.words) == (Exit.USAGE, True)


SHARED = {"code": "SharedBucket", "message": "It and race of us1 write there: change one with `allowSharedBucket=true`."}


async def test_who_else_writes_there_is_told_at_the_location_and_at_the_cluster():
    problems = [{**SHARED, "object": "vault"}, {**SHARED, "object": "other"}, {"code": "VeleroStalled", "message": "x"}]
    cluster = {"id": "eu1", "status": "Online", "problems": problems[:1]}
    told = "  SharedBucket: It and race of us1 write there: change one with --allow-shared-bucket."
    gateway = Script({**there(location("Available")), "GET /clusters/eu1": {**cluster, "problems": problems}})
    out, _, _, _ = await run(gateway, looking.describe, ["vault"], sort_=STORAGE)
    assert [line for line in out.splitlines() if "SharedBucket" in line or "Velero" in line.partition(":")[0]] == [
        told,
        "  Velero Namespace: velero",
    ]
    out, _, _, _ = await run(Script({"GET /clusters/eu1": cluster}), clusters.describe, ["eu1"])
    assert told in out.splitlines()
    out, _, _, error = await run(Script(there(location("Available"))), looking.describe, ["vault"], sort_=STORAGE)
    assert ("SharedBucket" in out, error) == (False, None)


async def test_a_setting_is_told_as_it_was_typed():
    odd = problem(422, "invalid-request", errors=[{"pointer": "/spec/config/regio", "detail": "is no setting of aws"}])
    _, _, _, error = await run(
        Script({"POST /clusters/eu1/storage-locations": odd}),
        *(writing.create, "vault"),
        **{**MADE, "sort_": STORAGE, "cluster": "eu1", "config": ["regio=x"]},
    )
    assert error.words == "--config regio=x: is no setting of aws"


async def test_a_new_credential_is_waited_for_until_velero_has_looked_with_it():
    old, new = location("Available", lastValidatedAt=AT), location("Available", lastValidatedAt=LATER)
    answers = there(old)
    answers["GET /clusters/eu1/storage-locations/vault"] = [old, old, new]
    gateway = Script({**answers, "PATCH /clusters/eu1/storage-locations/vault": old})
    out, _, _, error = await run(gateway, writing.rotate, "vault", sort_=STORAGE, credential_file="keys", wait=True)
    assert (out, error) == ("storage location vault of cluster eu1 has a new credential, and Available\n", None)
    assert gateway.sent("PATCH /clusters/eu1/storage-locations/vault") == [
        {"credential": {"accessKeyId": "AKIA", "secretAccessKey": MARK}}
    ]


async def test_to_rotate_needs_a_credential():
    gateway = Script({})
    _, _, _, error = await run(gateway, writing.rotate, "vault", sort_=STORAGE)
    assert (error.exit_code, gateway.asked) == (Exit.USAGE, [])


async def test_one_that_is_needed_goes_only_by_force():
    used = problem(409, "location-in-use", detail="It is used: 3 backups. `force=true` removes it all the same.")
    gateway = Script({**there(location()), "DELETE /clusters/eu1/storage-locations/vault": [used, location("Deleted")]})
    _, _, _, error = await run(gateway, deleting.delete, ["vault"], sort_=STORAGE, confirm=True)
    assert error.words == "It is used: 3 backups. --force removes it all the same."
    out, _, _, error = await run(gateway, deleting.delete, ["vault"], sort_=STORAGE, confirm=True, force=True)
    assert (out, error) == ("storage location vault of cluster eu1 is deleted\n", None)
    assert gateway.asked[-1][2] == {"force": "true"}


async def test_a_name_that_several_clusters_have_asks_which_one():
    both = {"GET /storage-locations": {"items": [location(), location(cluster="us1")], "nextCursor": None}}
    _, _, _, error = await run(Script(both), looking.get, "vault", sort_=STORAGE)
    assert (error.exit_code, error.hints) == (Exit.USAGE, ["add --cluster eu1 or us1"])


async def test_all_that_is_known_is_told_and_of_a_secret_its_name():
    item = location("Unavailable", message="403", mirrorOf="us1")
    item["spec"]["credential"] = {"name": "leeward-bsl-vault", "key": "cloud"}
    out, _, _, _ = await run(Script(there(item)), looking.describe, ["vault"], sort_=STORAGE)
    lines = [line.strip() for line in out.splitlines()]
    for told in ("Status:    Unavailable", "Message:   403", "Mirror Of: cluster us1, for a restore", "region: eu-west-1"):
        assert told in lines, out
    assert any(line == "Credential: Secret leeward-bsl-vault, key cloud" for line in lines), out


async def test_a_snapshot_location_is_not_waited_for_longer_than_its_cluster():
    item = {"id": "v1", "name": "disks", "cluster": "eu1", "namespace": "velero", "status": "Unchecked", "spec": {}}
    gateway = Script({"POST /clusters/eu1/snapshot-locations": item})
    out, _, _, error = await run(
        gateway, writing.create, "disks", sort_=SNAPSHOTS, cluster="eu1", provider="aws", wait=True, form=Format.TABLE
    )
    assert (out, error) == ("volume snapshot location disks of cluster eu1 is made\n", None)


@pytest.mark.parametrize("text", ["keys", "=keys", "cloud="])
def test_a_secret_is_named_with_its_key(text):
    with pytest.raises(CliError, match="--credential-secret: is not written as SECRET=KEY"):
        body_of({"name": "vault", "provider": "aws", "credential_secret": text}, STORAGE.form)
