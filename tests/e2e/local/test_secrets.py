"""No credential is anywhere but in the Secrets of the clusters: everything that the system keeps, says and is started with is
searched, after all that can be done with one."""

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from nats.js.errors import NotFoundError
from pymongo import MongoClient

from shared.messaging.connection import NatsSettings, connect
from shared.runtime.health import Health
from tests.e2e.local.running import VAULT, Running, eventually, vaulted
from tests.e2e.product import until
from tests.e2e.real.api import velero_path
from tests.support.stack import processes_in

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks into /proc"),
    pytest.mark.timeout(400),
]

PLACE = f"/clusters/eu1/storage-locations/{VAULT}"


def forms(secret: str) -> list[bytes]:
    """How a secret may be written: as it is, in an address, and in base64 wherever in something longer it begins."""
    found = {secret.encode(), quote(secret, safe="").encode()}
    for before in range(3):
        encoded = base64.b64encode(b"-" * before + secret.encode() + b"---")
        # What depends on the neighbours is cut off at both ends.
        found |= {encoded[4:-8], base64.urlsafe_b64encode(b"-" * before + secret.encode() + b"---")[4:-8]}
    return sorted(found)


def found_in(data: bytes, hidden: list[bytes]) -> bool:
    return any(form in data for form in hidden)


def test_every_form_of_a_secret_is_recognised():
    hidden = forms("se/cret+that is long enough?")
    for before in ("", "a", "ab", "abc"):
        file = f"{before}se/cret+that is long enough?\n".encode()
        for text in (file, base64.b64encode(file), base64.urlsafe_b64encode(file), quote(file, safe="").encode()):
            assert found_in(text, hidden), text


def test_a_credential_is_nowhere_but_in_the_cluster(tmp_path):
    given = {name: secrets.token_urlsafe(32) for name in ("vault", "wrong", "rotated", "refused", "snapshots")}
    with Running(tmp_path / "data") as running, vaulted(running, "of-the-vault", given["vault"]) as backup:
        everything_is_done(running, backup, given)
        hidden = [form for secret in given.values() for form in forms(secret)]
        # It is where it has to be, so a search that finds nothing elsewhere is one that could have found it.
        name = running.get(PLACE)["spec"]["credential"]["name"]
        kept = json.dumps(running.kube("eu1").get(f"/api/v1/namespaces/velero/secrets/{name}")).encode()
        assert found_in(kept, forms(given["rotated"]))
        places = dict(streams(running)) | dict(collections(running)) | dict(processes(running)) | dict(files(running))
        places |= dict(enumerate(answer.encode() for answer in running.answers)) | {"said": "\n".join(running.told).encode()}
        assert {"LW_COMMANDS", "LW_EVENTS", "LW_STATE"} <= {str(name).split(" ")[0] for name in places}
        assert {"leeward.locations", "leeward.restores"} <= set(map(str, places))
        assert [name for name, data in places.items() if found_in(data, hidden)] == []


def everything_is_done(running: Running, backup: dict, given: dict[str, str]) -> None:
    """Whatever takes a credential is given one: right, wrong, malformed, new, for a mirror, for snapshots."""

    def credential(name: str, identity: str = "of-the-vault") -> dict[str, str]:
        return {"accessKeyId": identity, "secretAccessKey": given[name]}

    asked = {"backup": backup["id"], "cluster": "us1", "spec": {"namespaceMapping": {"parcel": "parcel-arrived"}}}
    refused = running.make("/restores", {**asked, "credential": credential("wrong")}, Prefer="respond-async")
    eventually("refused", lambda: running.get(f"/operations/{refused['id']}")["state"] in {"Rejected", "Failed"})
    right = {**asked, "credential": credential("vault")}
    once = {"Prefer": "respond-async", "Idempotency-Key": "once"}
    # What is left of the refused one may still be shown for a moment.
    eventually("asked again", lambda: running.ask("POST", "/restores", right, **once).is_success)
    restored = running.make("/restores", right, **once)
    eventually("restored", lambda: running.get(f"/operations/{restored['id']}")["state"] == "Succeeded")
    for path, body in (
        ("/clusters/eu1/storage-locations", {"name": "bad", "spec": {}, "credential": credential("refused")}),
        (
            "/clusters/eu1/storage-locations",
            {"name": "bad", "spec": {}, "credential": {"accessKeyId": given["refused"], "a": 1}},
        ),
        ("/restores", {**asked, "cluster": "eu1", "credential": credential("refused")}),
        ("/restores", {**asked, "credential": {"file": [given["refused"]]}}),
        ("/restores/preflight", {**asked, "credential": credential("refused")}),
    ):
        running.ask("POST", path, body)
    disks = {
        "name": "disks",
        "spec": {"provider": "example.com/disks"},
        "credential": {"file": f"token={given['snapshots']}\n"},
    }
    running.make("/clusters/eu1/snapshot-locations", disks)

    running.order("bucket-lock", bucket=VAULT, key="of-the-vault", secret=given["rotated"])
    eventually("the old keys are not let in", lambda: running.get(PLACE)["status"] == "Unavailable")
    changed = running.ask("PATCH", PLACE, {"credential": credential("rotated")})
    assert changed.status_code in {200, 202}, changed.text
    eventually("the new keys are", lambda: running.get(PLACE)["status"] == "Available")
    for path in (
        "/storage-locations", "/snapshot-locations", "/restores", f"/restores/{restored['id']}", f"/restores/{refused['id']}",
        f"/restores/{restored['id']}/logs", f"/restores/{restored['id']}/results", f"/operations/{refused['id']}",
        f"/operations/{restored['id']}", "/clusters/eu1", "/clusters/us1", f"/backups/{backup['id']}", "/operations",
    ):  # fmt: skip
        running.ask("GET", path)
    assert running.kube("us1").get(velero_path("restores"))["items"]
    until("the database holds it", lambda: "leeward.restores" in dict(collections(running)))


def streams(running: Running) -> Iterator[tuple[str, bytes]]:
    """Every message of every stream, of key-value buckets too, with its subject and headers."""
    settings = NatsSettings(
        url=f"nats://127.0.0.1:{json.loads((running.home.root / 'ports.json').read_text())['nats']}",
        user="admin",
        password=(running.home.secrets / "admin" / "leeward_nats__password").read_text().strip(),
    )

    async def read() -> dict[str, bytes]:
        found = {}
        async with connect(settings, name="searcher", dependency=Health().depends_on("nats")) as connection:
            for info in await connection.stream.streams_info():
                state, name = info.state, str(info.config.name)
                for sequence in range(max(1, state.first_seq), state.last_seq + 1):
                    with contextlib.suppress(NotFoundError):
                        message = await connection.stream.get_msg(name, seq=sequence)
                        text = f"{message.subject} {message.headers} ".encode() + (message.data or b"")
                        found[f"{name} {sequence} {message.subject}"] = text
        return found

    yield from asyncio.run(read()).items()


def collections(running: Running) -> Iterator[tuple[str, bytes]]:
    """Every document of every collection of every database."""
    port = json.loads((running.home.root / "ports.json").read_text())["database"]
    with MongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
        for database in client.list_database_names():
            for name in client[database].list_collection_names():
                yield f"{database}.{name}", repr(list(client[database][name].find())).encode()


def processes(running: Running) -> Iterator[tuple[str, bytes]]:
    """How every process was started, and with which environment."""
    for pid, command in processes_in(running.home.root).items():
        with contextlib.suppress(OSError):
            entry = Path(f"/proc/{pid}")
            yield f"process {pid} {command[:4]}", (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()


def files(running: Running) -> Iterator[tuple[str, bytes]]:
    """Every file that the installation keeps, logs among them; but the simulator's, which is the clusters and their storage."""
    for path in running.home.root.rglob("*"):
        inner = path.relative_to(running.home.root)
        if path.is_file() and inner.parts[0] != "simulator":
            with contextlib.suppress(FileNotFoundError):
                yield str(inner), path.read_bytes()
