"""`leeward restore`, `location` and `cluster` as people run them, against the real gateway; the test plays the clusters."""

import functools
import json

import pytest

from leeward.errors import Exit
from services.gateway.settings import PreflightSettings
from shared.contracts.documents import to_document
from tests.support.command import leeward
from tests.support.gateway import NOW, answering, backup_document, backup_item, cluster_document, stack
from tests.support.gateway_restores import accepts_restore, restore_document, restore_item
from tests.support.locations import KEYS, MARKER, SPEC, Cluster, storage
from tests.support.timing import BRIEF

pytestmark = pytest.mark.thorough

FILE = f"[default]\naws_access_key_id={KEYS['accessKeyId']}\naws_secret_access_key={KEYS['secretAccessKey']}\n"


@pytest.fixture
async def made(nats_server, mongo_server):
    preflight = PreflightSettings(alone=BRIEF, before=BRIEF)  # no executor answers here
    async with stack(nats_server, mongo_server, wait=20, preflight=preflight) as running:
        facts = {"name": "shop", "phase": "Completed", "storage_location": "default", "started_at": NOW}
        held = to_document({"resolvedNamespaces": ["shop", "cart"]})
        await running.status.writes("backups", backup_document(backup_item("b1", **facts), detail=held))
        await running.status.writes("locations", storage("default", "eu1", SPEC))
        yield running


@pytest.fixture
async def cluster(made):
    """The cluster eu1, which has told its key; us1 is another one."""
    played = Cluster(made)
    await played.tells_its_key()
    await made.status.writes("cluster_state", cluster_document("us1"))
    return played


@pytest.fixture
def folder(made, tmp_path):
    (tmp_path / ".leeward").mkdir()
    (tmp_path / ".leeward" / "client.json").write_text(json.dumps({"url": f"http://127.0.0.1:{made.settings.http.port}"}))
    (tmp_path / "keys").write_text(FILE)
    return tmp_path


async def test_a_backup_is_restored_looked_at_and_the_restore_is_found_by_its_name(made, cluster, folder):
    async with answering(made, functools.partial(accepts_restore, made.status)):
        asked = await leeward(
            *(
                folder,
                "restore",
                "create",
                "back",
                "--from-backup",
                "shop",
                "-n",
                "shop",
                "--namespace-mappings",
                "shop:shop-2",
            ),
            *("--existing-resource-policy", "update", "--label", "team=shop"),
        )
    assert (asked.code, asked.out) == (0, "restore back is being brought into cluster eu1\n"), asked
    assert "Info: Not everything could be looked at" in asked.err
    (command,) = made.commands_seen
    assert (command.data.source.id, command.data.spec.namespace_mapping) == ("b1", {"shop": "shop-2"})
    assert (command.data.spec.existing_resource_policy, command.data.labels) == ("update", {"team": "shop"})
    ended = restore_item("r2", name="older", outcome="PartiallyFailed", status="PartiallyFailed", errors=2, warnings=1)
    await made.status.writes("restores", restore_document(ended))
    listed = await leeward(folder, "restore", "list", "--status", "partiallyfailed", "--backup", "shop")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["Name", "older"]
    waited = await leeward(folder, "restore", "wait", "older", "-o", "json")
    assert waited.code == Exit.PARTIALLY_FAILED, waited
    assert json.loads(waited.out) == (await made.client.get("/api/v1/restores/r2")).json()
    refused = restore_item("r3", name="never", outcome=None, status="Refused", phase=None, reason="It cannot be.")
    await made.status.writes("restores", restore_document(refused))
    described = await leeward(folder, "restore", "describe", "never")
    assert (described.code, "It cannot be." in described.out) == (0, True), described
    unknown = await leeward(folder, "restore", "get", "olde")
    assert (unknown.code, unknown.err.splitlines()[1]) == (Exit.NOT_FOUND, "  did you mean older?")


async def test_what_stands_against_a_restore_is_said_before_and_when_it_is_asked_for(made, cluster, folder):
    looked = await leeward(folder, "restore", "preflight", "--backup", "shop", "-n", "checkout")
    assert (looked.code, looked.out.splitlines()[:2]) == (
        Exit.FAILED,
        ["Blocker: The backup does not hold what is to be restored: namespaces are missing in it.", "  checkout"],
    )
    asked = await leeward(folder, "restore", "create", "--backup", "shop", "-n", "checkout")
    assert asked.code == Exit.FAILED
    assert "checkout" in asked.err
    wrong = await leeward(folder, "restore", "create", "--backup", "shop", "--map", "a=b,c=b")
    assert (wrong.code, "--map brings two namespaces into b" in wrong.err) == (Exit.USAGE, True), wrong
    nowhere = await leeward(folder, "restore", "preflight", "--backup", "shop", "--cluster", "eu9")
    assert (nowhere.code, "clusters: eu1, us1" in nowhere.err) == (Exit.NOT_FOUND, True), nowhere
    assert await made.commands() == 0


async def test_a_location_is_made_changed_and_removed_and_its_credential_stays_unseen(made, cluster, folder):
    where = ("--cluster", "eu1", "--provider", "aws", "--bucket", "vault", "--config", "region=eu")
    said = []
    async with answering(made, cluster.obeys):
        for words in (
            ("create", "vault", *where, "--credential-file", "keys"),
            ("edit", "vault", "--prefix", "eu1"),
            ("rotate", "vault", "--credential-from-env"),
            ("describe", "vault"),
            ("delete", "vault", "--confirm", "--wait"),
        ):
            keys = {"AWS_ACCESS_KEY_ID": KEYS["accessKeyId"], "AWS_SECRET_ACCESS_KEY": f"{MARKER}-new"}
            said.append(await leeward(folder, "location", *words, **keys))
            assert said[-1].code == 0, said[-1]
            assert MARKER not in said[-1].out + said[-1].err
    first, second, third, fourth = made.commands_seen
    assert cluster.opened(first) == FILE
    assert (second.data.spec.object_storage.prefix, second.data.credential) == ("eu1", None)
    assert f"{MARKER}-new" in cluster.opened(third)
    assert fourth.type == "dev.leeward.location.delete.v1"
    assert said[-1].out == "storage location vault of cluster eu1 is deleted\n"


async def test_a_location_that_would_share_a_bucket_is_refused_in_words_that_can_be_typed(made, cluster, folder):
    words = ("create", "second", "--cluster", "eu1", "--provider", "aws", "--bucket", "velero", "--prefix", "eu")
    shared = await leeward(folder, "location", *words)
    assert (shared.code, "--allow-shared-bucket" in shared.err) == (Exit.FAILED, True), shared
    odd = await leeward(folder, "location", *words, "--config", "regoin=eu", "--access-mode", "ReadSome")
    assert (odd.code, "--config" in odd.err, "--access-mode ReadSome" in odd.err) == (Exit.USAGE, True, True), odd
    assert await made.commands() == 0


async def test_a_cluster_is_registered_with_what_joins_it_changed_and_forgotten(made, folder):
    added = await leeward(folder, "cluster", "add", "eu7", "--mode", "agent")
    assert (added.code, added.out.splitlines()[0]) == (0, "cluster eu7 is registered: NeverSeen"), added
    assert "LEEWARD_NATS__USER=cluster-eu7" in added.out
    assert "kubectl --context eu7 apply -f deploy/rbac/executor.yaml" in added.out
    edited = await leeward(folder, "cluster", "edit", "eu7", "--production-selector", "env=prod", "--display-name", "Seven")
    assert (edited.code, edited.out) == (0, "cluster eu7 is changed\n"), edited
    removed = await leeward(folder, "cluster", "remove", "eu7", "--confirm")
    assert (removed.code, removed.out) == (0, "cluster eu7 is forgotten\n"), removed
