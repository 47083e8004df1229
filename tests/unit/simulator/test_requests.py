"""URLs, and what they are about."""

import pytest

from simulator.__main__ import namespaces
from simulator.errors import ApiError
from simulator.fleet import merge_kubeconfigs
from simulator.kinds import default_kinds
from simulator.requests import form, read_token, target, verb, write_token


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/namespaces", ("namespaces", "", "", "")),
        ("/api/v1/namespaces/velero", ("namespaces", "", "velero", "")),
        ("/api/v1/namespaces/velero/status", ("namespaces", "", "velero", "status")),
        ("/api/v1/pods", ("pods", "", "", "")),
        ("/api/v1/namespaces/velero/pods", ("pods", "velero", "", "")),
        ("/api/v1/namespaces/velero/pods/p/status", ("pods", "velero", "p", "status")),
        ("/apis/velero.io/v1/backups", ("backups.velero.io", "", "", "")),
        ("/apis/velero.io/v1/namespaces/velero/backups/b", ("backups.velero.io", "velero", "b", "")),
        ("/apis/velero.io/v2alpha1/namespaces/velero/datauploads", ("datauploads.velero.io", "velero", "", "")),
        ("/apis/apps/v1/deployments", ("deployments.apps", "", "", "")),
    ],
)
def test_what_a_path_is_about(path, expected):
    found = target(default_kinds(), path)
    assert found is not None
    assert (found.kind.resource, found.namespace, found.name, found.subresource) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1",
        "/apis/velero.io/v1",
        "/apis/velero.io/v2/backups",
        "/apis/velero.io/v1/backups/b",
        "/apis/velero.io/v1/foos",
        "/api/v1/namespaces/velero/nodes",
        "/apis/velero.io/v1/namespaces/velero/backups/b/status/deep",
    ],
)
def test_paths_about_nothing(path):
    assert target(default_kinds(), path) is None


def test_a_list_becomes_a_watch_by_its_parameter():
    backups = target(default_kinds(), "/apis/velero.io/v1/backups")
    assert [verb("GET", backups, {"watch": text}) for text in ("1", "true", "", "0", "false")] == [
        "watch",
        "watch",
        "list",
        "list",
        "list",
    ]


def test_a_patch_needs_a_name():
    with pytest.raises(ApiError) as refused:
        verb("PATCH", target(default_kinds(), "/apis/velero.io/v1/namespaces/velero/backups"), {})
    assert refused.value.message == "name must be provided"


def test_a_continue_token_is_read_back():
    assert read_token(write_token(7, ("velero", "b"))) == (7, ("velero", "b"))


@pytest.mark.parametrize("text", ["abc", "e30", "!!"])
def test_a_foreign_continue_token_is_refused(text):
    with pytest.raises(ApiError) as refused:
        read_token(text)
    assert refused.value.code == 400


def test_namespaces_of_the_command_line_have_labels():
    assert namespaces(["shop,environment=production,tier=1", "plain"]) == {
        "shop": {"environment": "production", "tier": "1"},
        "plain": {},
    }


def test_several_clusters_share_one_kubeconfig():
    configs = [{"current-context": name, **{part: [name] for part in ("clusters", "users", "contexts")}} for name in "ab"]
    merged = merge_kubeconfigs(configs)
    assert (merged["current-context"], merged["contexts"]) == ("a", ["a", "b"])


ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "whole"),
        ("*/*", "whole"),
        ("application/json", "whole"),
        (ALONE, "metadata"),
        ("application/json; as=PartialObjectMetadata; g=meta.k8s.io; v=v1", "metadata"),
        (f"{ALONE},application/json", "metadata"),
        (f"application/json,{ALONE}", "whole"),
        ("application/json;as=Table;g=meta.k8s.io;v=v1,application/json", "whole"),
        ("application/vnd.kubernetes.protobuf,application/json", "whole"),
    ],
)
def test_how_much_of_an_object_a_client_wants(accepted, expected):
    assert form(accepted) == expected


@pytest.mark.parametrize("accepted", ["text/html", "application/json;as=Table;g=meta.k8s.io;v=v1", f"{ALONE}beta1"])
def test_what_cannot_be_written_is_refused(accepted):
    with pytest.raises(ApiError, match="only the following media types are accepted") as caught:
        form(accepted)
    assert caught.value.code == 406
