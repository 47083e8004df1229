"""Storage that asks for keys, and Velero, which has them from the Secret that a location names or from its own."""

import base64
from dataclasses import replace

import httpx2
import pytest

from simulator.cloud import Cloud
from tests.support.simulated_velero import QUICK, Site
from tests.support.waiting import PATIENCE, eventually

VAULT = {"provider": "aws", "objectStorage": {"bucket": "vault"}, "credential": {"name": "keys", "key": "cloud"}}
UNKNOWN = "api error InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records."
WRONG = (
    "api error SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method."
)
LOCATIONS = "backupstoragelocations"


@pytest.fixture
async def cloud():
    async with Cloud() as running:
        running.make_bucket("velero")
        running.make_bucket("vault")
        running.doors.lock("vault", {"id": "secret"})
        yield running


@pytest.fixture
async def site(cloud):
    made = Site(cloud, settings=replace(QUICK, location_tick=1.0, store_validation=1.0), namespaces=("shop",))
    await made.start()
    yield made
    made.velero.kill()


def keep(site, identity="id", secret="secret", name="keys"):
    """Let a Secret hold these keys from now on."""
    file = f"[default]\naws_access_key_id={identity}\naws_secret_access_key={secret}\n"
    data = {"cloud": base64.b64encode(file.encode()).decode()}
    if site.find("secrets", name):
        site.store.patch("secrets", name, {"data": data}, "velero")
    else:
        site.store.create("secrets", {"metadata": {"name": name}, "data": data}, "velero")


async def message(site, words, name="vault"):
    """What the location says, once these words are in it."""
    return await eventually(
        f"{name} says {words}",
        lambda: words in (said := site.get(LOCATIONS, name).get("status", {}).get("message", "")) and said,
    )


async def test_a_location_is_used_with_the_keys_of_its_secret_and_of_no_other(site):
    keep(site)
    site.create(LOCATIONS, "vault", VAULT)
    site.create(LOCATIONS, "own", {**VAULT, "credential": None})
    await site.until("vault", "Available", kind=LOCATIONS)
    assert "no EC2 IMDS role found" in await message(site, "get identity", "own")
    keep(site, "someone", name="cloud-credentials")
    await message(site, UNKNOWN, "own")
    keep(site, name="cloud-credentials")
    await site.until("own", "Available", kind=LOCATIONS)


async def test_wrong_keys_are_told_apart_from_unknown_ones_and_new_ones_help(site):
    keep(site, "who")
    site.create(LOCATIONS, "vault", VAULT)
    said = await message(site, UNKNOWN)
    assert said.startswith(
        'BackupStorageLocation "vault" is unavailable: rpc error: code = Unknown desc = operation error S3: '
    )
    keep(site, secret="other")
    await message(site, WRONG)
    keep(site)
    await site.until("vault", "Available", kind=LOCATIONS)


async def test_a_missing_secret_or_key_is_named(site):
    site.create(LOCATIONS, "vault", VAULT)
    await message(site, 'unable to get credentials: unable to get key for secret: Secret "keys" not found')
    site.store.create("secrets", {"metadata": {"name": "keys"}, "data": {"other": ""}}, "velero")
    await message(site, '"keys" secret is missing data for key "cloud"')


async def test_a_url_is_worth_as_much_as_the_keys_that_signed_it(site, cloud):
    keep(site)
    site.create(LOCATIONS, "vault", VAULT)
    await site.until("vault", "Available", kind=LOCATIONS)
    site.backup("b", storageLocation="vault")
    await site.until("b", "Completed")
    site.create("downloadrequests", "d", {"target": {"kind": "BackupResults", "name": "b"}})
    url = (await site.until("d", "Processed", kind="downloadrequests"))["status"]["downloadURL"]
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        assert (await client.get(url)).status_code == 200
        cloud.doors.admit("vault", "id", "changed")
        assert (await client.get(url)).status_code == 403
    assert "secret" not in url
    await message(site, WRONG)


async def test_a_location_can_be_held_before_it_is_looked_at_and_before_it_is_brought(site, cloud):
    keep(site)
    site.velero.faults.hold("vault", "New", kind=LOCATIONS)
    site.velero.faults.hold("vault", "Syncing", kind=LOCATIONS)
    site.create(LOCATIONS, "vault", VAULT)
    await site.velero.sleep(5)
    assert "status" not in site.get(LOCATIONS, "vault")
    site.velero.faults.release("vault")
    await site.until("vault", "Available", kind=LOCATIONS)
