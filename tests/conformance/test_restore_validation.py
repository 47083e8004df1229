"""Restores that Velero refuses, in its own words."""

from contextlib import ExitStack

import httpx2
import pytest

from tests.conformance.manifests import Json, of_velero, unique
from tests.conformance.restore_refusals import RESTORE_REFUSALS, RefusedRestore
from tests.conformance.stage import Cluster, refusal
from tests.e2e.real.api import velero_path

INVALID: dict[str, tuple[Json, str]] = {
    "a field that nobody knows": ({"colour": "red"}, "spec.colour"),
    "a mapping that is no text": ({"namespaceMapping": {"a": 1}}, "spec.namespaceMapping.a"),
    "a hook without a command": (
        {"hooks": {"resources": [{"name": "h", "postHooks": [{"exec": {}}]}]}},
        "spec.hooks.resources[0].postHooks[0].exec.command",
    ),
    "a hook without a name": ({"hooks": {"resources": [{"postHooks": []}]}}, "spec.hooks.resources[0].name"),
    "an answer to errors that nobody knows": (
        {"hooks": {"resources": [{"name": "h", "postHooks": [{"exec": {"command": ["a"], "onError": "Panic"}}]}]}},
        "spec.hooks.resources[0].postHooks[0].exec.onError",
    ),
    "a modifier without a name": ({"resourceModifier": {"kind": "configmap"}}, "spec.resourceModifier.name"),
    "volumes that may come": ({"restorePVs": "perhaps"}, "spec.restorePVs"),
    "downloads that are no number": (
        {"uploaderConfig": {"parallelFilesDownload": "many"}},
        "spec.uploaderConfig.parallelFilesDownload",
    ),
}


def ids(cases: dict[str, object]) -> list[str]:
    return [case.replace(" ", "-") for case in cases]


@pytest.fixture(scope="module")
def known(writer: Cluster) -> str:
    """A Backup that can be named."""
    return str(writer.rest_known(unique("known"), storageLocation="default")["metadata"]["name"])


@pytest.mark.parametrize("case", RESTORE_REFUSALS.values(), ids=ids(RESTORE_REFUSALS))
def test_refusals(writer: Cluster, known: str, case: RefusedRestore) -> None:
    """A Restore that cannot be meant is FailedValidation, with every reason in Velero's words, and never starts."""
    with ExitStack() as stack:
        for thing in case.needs:
            stack.enter_context(thing.standing(writer.api, {}))
            writer.settle_core("configmaps", thing.name)
        restore = writer.restore(unique("refused"), **case.asked(known))

    assert restore["status"] == {"phase": "FailedValidation", "validationErrors": list(case.words)}


@pytest.mark.parametrize(("spec", "field"), INVALID.values(), ids=ids(INVALID))
def test_what_the_api_server_refuses(writer: Cluster, spec: Json, field: str) -> None:
    """What is no Restore at all never reaches Velero: the API server, asked to be strict, says which field is wrong."""
    restore = of_velero("Restore", unique("invalid"), spec={"backupName": "b", **spec})
    error = refusal(lambda: writer.api.request("POST", velero_path("restores"), restore, params={"fieldValidation": "Strict"}))

    assert error.status in {httpx2.codes.BAD_REQUEST, 422}
    causes = {cause["field"] for cause in error.body.get("details", {}).get("causes", [])}
    assert field in causes or field in error.body["message"], error.body


@pytest.mark.parametrize(
    "spec",
    [{"existingResourcePolicy": ""}, {"resourceModifier": {"kind": "secret", "name": "nobody"}}],
    ids=["policy", "modifier"],
)
def test_what_velero_ignores(writer: Cluster, known: str, spec: Json) -> None:
    """An empty policy is none, and a modifier that is no ConfigMap is ignored without a word."""
    story = writer.story("restores", name := unique("ignored"))
    writer.create("Restore", name, spec={"backupName": known, **spec})

    assert "validationErrors" not in story.until_final()["status"]


def test_an_unavailable_location(fragile: Cluster) -> None:
    """A Restore of a Backup whose location is Unavailable is refused."""
    spec = fragile.hands.location(prefix="nowhere")
    location, _ = fragile.assessed({**spec, "config": {**spec["config"], "s3Url": "http://127.0.0.1:9"}})
    backup = fragile.rest_known(unique("unreachable"), storageLocation=location)
    restore = fragile.restore(unique("unreachable"), backupName=backup["metadata"]["name"])

    assert restore["status"]["validationErrors"] == [f"The BSL {location} is unavailable, cannot retrieve the backup"]
