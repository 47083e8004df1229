"""For every no that Velero, or the API server, has for a Backup, Leeward has one that comes first and names the field."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conformance.invalid import INVALID, Invalid
from tests.conformance.manifests import Json
from tests.conformance.refusals import REFUSALS, Refused, Thing
from tests.e2e.real.api import KubeApi, velero_path
from tests.support.line import Line
from tests.support.servers import MongoServer

LOCATION: Json = {"provider": "aws", "objectStorage": {"bucket": "b"}}
DEFAULT = velero_path("backupstoragelocations", "default")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, mongo_server: MongoServer) -> Iterator[Line]:
    with Line(tmp_path_factory.mktemp("line"), mongo_server, {"a": {}}) as running:
        yield running


@contextmanager
def standing(api: KubeApi, thing: Thing) -> Iterator[None]:
    """Be there within the block, judged as Velero would judge it."""
    with thing.standing(api, LOCATION):
        if thing.phase:
            api.patch(velero_path("backupstoragelocations", thing.name), {"status": {"phase": thing.phase}})
        yield


@contextmanager
def without_location(api: KubeApi) -> Iterator[None]:
    kept = api.get(DEFAULT)
    api.delete(DEFAULT)
    try:
        yield
    finally:
        api.create({key: kept[key] for key in ("apiVersion", "kind", "spec", "status")} | {"metadata": named("default")})


def named(name: str) -> Json:
    return {"name": name, "namespace": "velero"}


def ids(cases: dict[str, object]) -> list[str]:
    return [case.replace(" ", "-") for case in cases]


@pytest.mark.parametrize("case", REFUSALS.values(), ids=ids(REFUSALS))
def test_what_velero_refuses_is_refused_before_it_is_made(line: Line, case: Refused) -> None:
    before = line.names()
    with ExitStack() as stack:
        for thing in case.needs:
            stack.enter_context(standing(line.api, thing))
        if case.homeless:
            stack.enter_context(without_location(line.api))
        reply = line.ask(case.asked())

    if case.beyond:
        assert reply.backup is not None, f"Leeward knows it now: {case.beyond} is no excuse"
        return
    assert reply.backup is None
    assert set(case.fields) <= reply.fields, reply.words
    assert line.names() == before


@pytest.mark.parametrize("case", INVALID.values(), ids=ids(INVALID))
def test_what_the_api_server_refuses_is_refused_before_it_is_sent(line: Line, case: Invalid) -> None:
    name = {"name": case.name} if case.name else {}
    if case.taken:
        name = {"name": "taken"}
        line.api.create({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": named("taken"), "spec": {}})
    before = line.names()
    reply = line.ask({**name, "labels": case.labels, "scope": {"kind": "all"}, "spec": case.spec})

    assert reply.backup is None
    assert case.field in reply.fields, reply.words
    assert line.names() == before
