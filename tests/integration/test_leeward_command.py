"""The `leeward` command as people run it, against the real gateway; the cluster is played by the test."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
from pathlib import Path

import pytest

from leeward.app import run
from leeward.errors import MEANINGS, Exit
from shared.contracts.phases import BackupStatus, Outcome
from shared.contracts.refusals import Code, refusal
from shared.contracts.views import Progress
from tests.e2e.real.pki import Pki
from tests.support.command import Ended, begun, leeward
from tests.support.gateway import (
    answering,
    backup_document,
    backup_item,
    cluster_document,
    location_document,
    running,
    stack,
    tokens_file,
)
from tests.support.servers import free_port
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running_stack:
        yield running_stack


@pytest.fixture
def folder(made, tmp_path):
    """Where a person stands: the client file of `leeward up` is here."""
    home = tmp_path / "person" / ".leeward"
    home.mkdir(parents=True)
    url = f"http://127.0.0.1:{made.settings.http.port}"
    (home / "client.json").write_text(json.dumps({"url": url}))
    return home.parent


def creating(made, **then):
    """A cluster that takes every command, and whose backup then ends so."""

    async def answer(command):
        await made.status.accepts(command)
        if then:
            item = backup_item(str(command.operationid), name=command.data.name, **then)
            await made.status.writes("backups", backup_document(item))
            await made.status.announces("backup", item)

    return answering(made, answer)


SHOP = ("backup", "create", "shop", "--cluster", "eu1", "-n", "shop")


async def test_a_backup_is_asked_for_listed_and_looked_at(made, folder):
    async with creating(made):
        asked = await leeward(folder, *SHOP, "-l", "team=shop", "--ttl", "30d")
    assert (asked.code, asked.out) == (0, "backup shop is being made in cluster eu1\n"), asked
    (command,) = made.commands_seen
    assert (command.data.labels, command.data.spec.ttl, command.data.scope.namespaces) == ({"team": "shop"}, "720h", ["shop"])
    listed = await leeward(folder, "backup", "list")
    assert listed.out.splitlines()[0].split("  ")[0] == "Name"
    assert "shop  eu1" in listed.out
    shown = json.loads((await leeward(folder, "backup", "get", "shop", "-o", "json")).out)
    assert shown == (await made.client.get(f"/api/v1/backups/{shown['id']}")).json()
    described = await leeward(folder, "backup", "describe", shown["id"])
    assert described.out.startswith("Name:")
    operation = await leeward(folder, "operation", "get", shown["id"])
    assert "State:" in operation.out
    assert "Accepted" in operation.out


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (BackupStatus.COMPLETED, Exit.OK),
        (BackupStatus.PARTIALLY_FAILED, Exit.PARTIALLY_FAILED),
        (BackupStatus.FAILED, Exit.FAILED),
    ],
)
async def test_waiting_ends_with_what_became_of_it(made, folder, status, code):
    async with creating(made, status=status, outcome=Outcome(status.value), errors=2):
        ended = await leeward(folder, *SHOP, "--wait", "--timeout", "1m", "-o", "json")
    assert (ended.code, json.loads(ended.out)["status"]) == (code, status.value), ended
    assert status.value in ended.err


async def test_a_restart_of_the_gateway_is_waited_through(made, folder, nats_server, mongo_server):
    restarted = made.settings.model_copy(update={"http": made.settings.http.model_copy(update={"port": free_port()})})
    url = f"http://127.0.0.1:{restarted.http.port}"
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(running(restarted))
        async with creating(made), begun(folder, *SHOP, "--wait", "--url", url) as process:
            assert b"Creating" in await process.stderr.readline()
            item = backup_item(str(made.commands_seen[0].operationid), name="shop", status=BackupStatus.CREATING)
            progress = item.model_copy(update={"progress": Progress(items_backed_up=3, total_items=9), "phase": "InProgress"})
            await made.status.writes("backups", backup_document(progress))  # it may not listen yet
            await made.status.announces("backup", progress)
            assert await process.stderr.readline() == b"Creating 3/9 (InProgress)\n"
            await first.aclose()
            ended = item.model_copy(update={"status": BackupStatus.COMPLETED, "outcome": Outcome.COMPLETED})
            await made.status.writes("backups", backup_document(ended))
            await made.status.announces("backup", ended)
            async with running(restarted):
                out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "Completed" in out.decode()


async def test_ctrl_c_stops_the_waiting_and_not_the_backup(made, folder):
    async with creating(made), begun(folder, *SHOP, "--wait") as process:
        await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert "the backup goes on" in err.decode()
    assert "leeward backup wait" in err.decode()
    assert "Traceback" not in err.decode()


async def test_the_time_to_wait_ends_and_the_backup_goes_on(made, folder):
    async with creating(made):
        ended = await leeward(folder, *SHOP, "--wait", "--timeout", "500ms")
    assert ended.code == Exit.TIMED_OUT
    assert "it goes on" in ended.err


async def test_a_cluster_that_is_away_does_it_later(made, folder):
    ended = await leeward(folder, *SHOP)
    assert ended.code == 0
    assert "has not answered yet" in ended.out
    assert await made.commands() == 1
    key = ("--idempotency-key", "k1")
    once, twice = await leeward(folder, *SHOP, *key, "-o", "json"), await leeward(folder, *SHOP, *key, "-o", "json")
    assert json.loads(once.out)["id"] == json.loads(twice.out)["id"]
    assert await made.commands() == 2


async def test_a_refusal_of_the_cluster_is_told_with_what_to_do(made, folder):
    no = refusal(Code.NAME_TAKEN, cluster="eu1", name="shop")
    async with answering(made, lambda command: made.status.rejects(command, no)):
        ended = await leeward(folder, *SHOP)
    assert (ended.code, ended.out) == (Exit.FAILED, "")
    assert "already has a backup named shop" in ended.err
    assert "leeward backup describe shop --cluster eu1" in ended.err


async def test_a_request_may_stand_in_a_file_and_options_win(made, folder):
    (folder / "b.yaml").write_text("name: f\ncluster: us9\nscope: {kind: all}\nspec: {ttl: 1h}\n")
    async with creating(made):
        assert (await leeward(folder, "backup", "create", "-f", "b.yaml", "--cluster", "eu1")).code == 0
        text = json.dumps({"name": "j", "cluster": "eu1", "scope": {"kind": "specific", "namespaces": ["x"]}})
        assert (await leeward(folder, "backup", "create", "-f", "-", stdin=text)).code == 0
    assert [(c.data.name, c.cluster) for c in made.commands_seen] == [("f", "eu1"), ("j", "eu1")]


MISTAKES = [
    # words typed, exit code, what must be said
    ((*SHOP, "--ttl", "30x"), Exit.USAGE, ["--ttl: '30x' is not a duration such as 90m, 72h or 30d"]),
    (
        ("backup", "create", "Shop", "-c", "eu1", "-n", "A"),
        Exit.USAGE,
        ["2 things are wrong", "NAME Shop: ", "--namespace A: "],
    ),
    (("backup", "create", "shop", "-c", "eu9"), Exit.NOT_FOUND, ["No cluster eu9 is registered", "clusters: eu1"]),
    (("backup", "create", "shop"), Exit.USAGE, ["--cluster", "leeward cluster list"]),
    (("backup", "create", "shop", "-c", "eu1", "-A", "-n", "x"), Exit.USAGE, ["exclude each other"]),
    (("backup", "create", "shop", "-c", "eu1", "-f", "none.yaml"), Exit.USAGE, ["none.yaml cannot be read: No such file"]),
    (("backup", "create", "-f", "broken.yaml"), Exit.USAGE, ["broken.yaml is neither YAML nor JSON: line 2"]),
    (("backup", "create", "-f", "velero.yaml"), Exit.USAGE, ["velero.yaml is a Kubernetes object", "scope"]),
    (("backup", "create", "-f", "dated.yaml"), Exit.USAGE, ["dated.yaml: ", "date", "quotes"]),
    (("backup", "list", "--cluster", "eu9"), Exit.OK, ["no backups", "clusters: eu1"]),
    (("backup", "create", "shop", "-c", "eu1", "--timeout", "1m"), Exit.USAGE, ["--wait"]),
    (("backup", "create", "shop", "-c", "eu1", "--wait", "--timeout", "soon"), Exit.USAGE, ["--timeout: 'soon' is not"]),
    (("backup", "create", "shop", "--custer", "eu1"), Exit.USAGE, ["No such option: --custer", "backup create --help"]),
    (("backup", "get", "nope"), Exit.NOT_FOUND, ["there is no backup nope"]),
    (("backup", "get", "two"), Exit.USAGE, ["2 backups are called two", "cluster us1", "--cluster"]),
    (("backup", "get", "tw"), Exit.NOT_FOUND, ["did you mean two?"]),
    (("backup", "get", "summary"), Exit.NOT_FOUND, ["there is no backup summary"]),
    (("backup", "get", "../clusters"), Exit.NOT_FOUND, ["there is no backup ../clusters"]),
    (("backup", "list", "--status", "Done"), Exit.USAGE, ["--status: must be one of Creating, Completed"]),
    (("backup", "list", "--sort", "age"), Exit.USAGE, ["--sort: cannot sort by 'age'"]),
    (("backup", "list", "--created-after", "yesterday"), Exit.USAGE, ["--created-after: 'yesterday' is not a time"]),
    (("backup", "list", "--cursor", "x"), Exit.USAGE, ["--cursor: ", "begin again"]),
    (("backup", "list", "-o", "xml"), Exit.USAGE, ["'table', 'json', 'yaml'"]),
    (("backup", "list", "--url", "http://127.0.0.1:1"), Exit.UNREACHABLE, ["nothing answers at http://127.0.0.1:1", "--url"]),
    (("cluster", "get", "eu9"), Exit.NOT_FOUND, ["No cluster eu9", "clusters: eu1"]),
    (("cluster", "add", "EU 1"), Exit.USAGE, ["CLUSTER EU 1: must be a DNS label"]),
    (("cluster", "add", "us1", "--production-selector", "env"), Exit.OK, []),
    (("operation", "get", "nope"), Exit.NOT_FOUND, ["There is no operation nope"]),
    (("backup",), Exit.USAGE, ["Usage: ", "create"]),
    (("bakcup", "list"), Exit.USAGE, ["No such command 'bakcup'"]),
]


async def test_the_mistakes_of_a_newcomer_each_have_words_and_a_code(made, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    async def here(*words):  # without a process for each: they are many
        code = await asyncio.to_thread(run, list(words))
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        return Ended(code, out, err)

    for cluster in ("eu1", "us1"):
        item = backup_item(f"{cluster}-two", name="two", cluster=cluster)
        await made.status.writes("backups", backup_document(item))
    (folder / "broken.yaml").write_text("name: [x\n")
    (folder / "dated.yaml").write_text("name: x\ncluster: eu1\nlabels: {since: 2026-01-01}\n")
    (folder / "velero.yaml").write_text("apiVersion: velero.io/v1\nkind: Backup\n")
    wrong = []
    for typed, code, said in MISTAKES:
        ended = await here(*typed)
        if ended.code != code or any(words not in ended.err for words in said):
            wrong.append((typed, code, said, ended))
    assert not wrong


async def test_tokens_decide_who_may_do_what(nats_server, mongo_server, tmp_path):
    headers = tokens_file(tmp_path / "tokens.json", anna="admin", victor="viewer")
    for name, header in headers.items():
        (tmp_path / name).write_text(header.removeprefix("Bearer "))
    async with stack_with_tokens(nats_server, mongo_server, tmp_path / "tokens.json") as (url, _):
        where = {"LEEWARD_URL": url}
        victor = {**where, "LEEWARD_TOKEN_FILE": str(tmp_path / "victor")}
        assert (await leeward(tmp_path, "cluster", "list", **victor)).code == 0
        no = await leeward(tmp_path, *SHOP, **victor)
        assert (no.code, "role" in no.err) == (Exit.FORBIDDEN, True), no
        assert (await leeward(tmp_path, "cluster", "add", "us1", "--token-file", "anna", **where)).code == 0
        nobody = await leeward(tmp_path, "cluster", "list", **where)
        assert (nobody.code, "wants a token" in nobody.err) == (Exit.FORBIDDEN, True), nobody
        wrong = await leeward(tmp_path, "cluster", "list", LEEWARD_TOKEN="lwt_wrong", **where)
        assert (wrong.code, "does not know the token from LEEWARD_TOKEN" in wrong.err) == (Exit.FORBIDDEN, True), wrong
        assert "lwt_wrong" not in wrong.err


@contextlib.asynccontextmanager
async def stack_with_tokens(nats_server, mongo_server, tokens):
    async with stack(nats_server, mongo_server) as made:
        port = free_port()
        settings = made.settings.model_copy(
            update={"http": made.settings.http.model_copy(update={"port": port}), "tokens_file": tokens}
        )
        async with running(settings) as client:
            yield f"http://127.0.0.1:{port}", client


async def test_nowhere_to_go_says_what_to_do(tmp_path):
    ended = await leeward(tmp_path, "backup", "list")
    assert (ended.code, "make up" in ended.err, "LEEWARD_URL" in ended.err) == (Exit.USAGE, True, True)


async def test_a_long_list_is_read_page_by_page_and_whole_in_json(made, folder):
    await made.status.writes("backups", *(backup_document(backup_item(f"b{n:02}")) for n in range(7)))
    some = await leeward(folder, "backup", "list", "--limit", "3")
    assert len(some.out.splitlines()) == 4
    assert "3 of 7 backups: --all" in some.err
    whole = json.loads((await leeward(folder, "backup", "list", "--limit", "3", "--all", "--sort", "name", "-o", "json")).out)
    assert [item["name"] for item in whole["items"]] == [f"b{n:02}" for n in range(7)]
    assert (whole["nextCursor"], whole["total"]) == (None, 7)
    page = (await made.client.get("/api/v1/backups?limit=3")).json()
    assert json.loads((await leeward(folder, "backup", "list", "--limit", "3", "-o", "json")).out) == page
    none = await leeward(folder, "backup", "list", "--search", "zzz")
    assert (none.code, none.out, none.err) == (0, "", "no backups\n")


async def test_a_list_can_be_watched(made, folder):
    await made.status.writes("backups", backup_document(backup_item("b1")))
    async with begun(folder, "backup", "list", "--watch", "--status", "failed") as process:

        async def until(text):
            while True:
                line = await process.stdout.readline()
                assert line, (await process.stderr.read()).decode()
                if text in line:
                    return line

        await until(b"Name")
        failed = backup_item("b2", status=BackupStatus.FAILED)

        async def announced():
            await made.status.writes("backups", backup_document(failed))
            await made.status.announces("backup", failed)

        await announced()
        assert b"Failed" in await until(b"b2")
        process.send_signal(signal.SIGINT)
        await process.wait()
    assert process.returncode == Exit.INTERRUPTED


async def test_clusters_and_locations_are_listed(made, folder):
    await made.status.writes("cluster_state", cluster_document("eu1", namespaces=[{"name": "shop", "labels": []}]))
    await made.status.writes("locations", location_document("default", provider="aws", bucket="velero"))
    assert (await leeward(folder, "cluster", "add", "us1", "--display-name", "America")).code == 0
    clusters = await leeward(folder, "cluster", "list")
    assert [line.split()[0] for line in clusters.out.splitlines()] == ["Name", "eu1", "us1"]
    assert "NeverSeen" in clusters.out
    assert "shop" in (await leeward(folder, "cluster", "namespaces", "eu1")).out
    locations = await leeward(folder, "location", "list", "--cluster", "eu1")
    assert locations.out.splitlines()[1].split()[:5] == ["default", "eu1", "Available", "aws", "velero"]


async def test_the_shell_is_offered_what_there_is_and_nothing_when_nobody_answers(made, folder):
    await made.status.writes("backups", *(backup_document(backup_item(name)) for name in ("shop-1", "shop-2", "cart")))

    async def offered(typed, **environment):
        completing = {"_LEEWARD_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
        own = {k: v for k, v in os.environ.items() if not k.startswith("LEEWARD_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "import sys; sys.argv[0] = 'leeward'; from leeward.app import run; sys.exit(run())"),
            cwd=folder,
            env={**own, "PYTHONPATH": str(Path.cwd()), **completing, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert err == b""
        return out.decode().split()

    # A busy machine may be slower than a person at a prompt is patient.
    assert sorted(await eventually("offered", lambda: offered("leeward backup get sho"))) == ["shop-1", "shop-2"]
    assert await eventually("offered", lambda: offered("leeward backup create x --cluster ")) == ["eu1"]
    namespaces = [{"name": name, "labels": []} for name in ("shop", "shop-staging", "cart")]
    await made.status.writes("cluster_state", cluster_document("eu1", namespaces=namespaces))
    named = await eventually("offered", lambda: offered("leeward backup create x -c eu1 --namespace cart,sh"))
    assert named == ["cart,shop", "cart,shop-staging"]
    assert await offered("leeward backup list --status par") == ["partiallyfailed"]
    assert await offered("leeward backup list --status P") == ["PartiallyFailed"]
    assert await offered("leeward backup get sho", LEEWARD_URL="http://127.0.0.1:1") == []
    assert await offered("leeward backup get sho", LEEWARD_URL="what?") == []


async def test_a_gateway_with_a_certificate_of_nobody_we_know(tmp_path):
    keys = Pki(tmp_path / "keys")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*keys.pair("apiserver"))

    async def serve(reader, writer):
        await reader.read(5)
        writer.write(
            b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{"items":[], "total": 0} '
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        no = await leeward(tmp_path, "cluster", "list", "--url", url)
        assert (no.code, "is not trusted" in no.err, "--ca-file" in no.err) == (Exit.UNREACHABLE, True, True), no
        yes = await leeward(tmp_path, "cluster", "list", "--url", url, "--ca-file", str(keys.ca))
        assert yes.code == 0, yes
        plain = await leeward(tmp_path, "cluster", "list", "--url", url.replace("https", "http"))
        assert plain.code == Exit.UNREACHABLE, plain
    open_text = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with open_text:
        url = f"https://127.0.0.1:{open_text.sockets[0].getsockname()[1]}"
        assert "does not speak TLS" in (await leeward(tmp_path, "cluster", "list", "--url", url)).err


async def test_a_name_means_the_backup_and_not_the_copies_that_other_clusters_see_of_it(made, folder):
    for cluster, replica in (("eu1", False), ("us1", True)):
        item = backup_item(f"{cluster}-shop", name="shop", cluster=cluster, replica=replica)
        await made.status.writes("backups", backup_document(item))
    assert json.loads((await leeward(folder, "backup", "get", "shop", "-o", "json")).out)["id"] == "eu1-shop"
    copy = await leeward(folder, "backup", "get", "shop", "--cluster", "us1", "-o", "json")
    assert json.loads(copy.out)["id"] == "us1-shop"


async def test_nobody_reads_on(made, folder):
    await made.status.writes("backups", *(backup_document(backup_item(f"b{n:04}", name="n" * 200)) for n in range(500)))
    process = await asyncio.create_subprocess_shell(
        f"bash -o pipefail -c '{sys.executable} -m leeward backup list --all --limit 500 | head -1'",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (out.split()[0], err, process.returncode) == (b"Name", b"", 0)


async def test_help_names_the_exit_codes_and_loads_nothing_heavy(tmp_path):
    shown = await leeward(tmp_path, "--help")
    assert shown.code == 0
    for code, words in MEANINGS.items():
        assert f"{code.value:<4} {words}" in shown.out
    heavy = ("httpx2", "pydantic", "nats", "yaml", "aiohttp", "pymongo")
    program = (
        f"from leeward.app import run; import sys; run(['--help']); sys.exit([m for m in {heavy} if m in sys.modules] or 0)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
