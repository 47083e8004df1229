"""From options to the body, judged by the gateway's own rules, and back from its complaints to the options."""

import json

import pytest
from pydantic.alias_generators import to_camel

from leeward.backups.form import BACKUP, FIELDS, orders
from leeward.errors import CliError, Exit
from leeward.problems import ApiError
from leeward.request import ValueFormError, body_of, pairs, put, selector
from services.gateway.validation import InvalidRequestError, backup_request
from shared.contracts.backupspec import BackupSpec

VALUES = {
    "cluster": "eu1",
    "namespace": ["shop,cart", "pay"],
    "exclude_namespace": ["dev"],
    "label": ["team=shop,tier=", "a=b"],
    "ttl": "30d",
    "deadline": "2h",
    "storage_location": "default",
    "include_resources": ["pods,secrets"],
    "exclude_resources": ["events"],
    "include_cluster_resources": True,
    "include_cluster_scoped_resources": ["nodes"],
    "exclude_cluster_scoped_resources": ["nodes"],
    "include_namespace_scoped_resources": ["pods"],
    "exclude_namespace_scoped_resources": ["pods"],
    "selector": "a=b,c!=d,e,!f",
    "or_selector": ["a=b", "c=d"],
    "ordered_resources": "pods=ns/a,ns/b;secrets=ns/c",
    "snapshot_volumes": True,
    "volume_snapshot_location": ["aws"],
    "snapshot_move_data": True,
    "data_mover": "kopia",
    "default_volumes_to_fs_backup": False,
    "parallel_files_upload": 10,
    "resource_policies_configmap": "policies",
    "volume_group_snapshot_label_key": "app",
    "csi_snapshot_timeout": "20m",
    "item_operation_timeout": "1h",
}
BAD = {
    "cluster": "EU 1",
    "namespace": ["Shop"],
    "exclude_namespace": ["Dev"],
    "label": ["team=-"],
    "ttl": "30x",
    "deadline": "1y",
    "storage_location": "A B",
    "volume_snapshot_location": ["A B"],
    "data_mover": "x" * 300,
    "volume_group_snapshot_label_key": "-app",
    "parallel_files_upload": 0,
    "selector": "a=-",
    "or_selector": ["a=b", "c=-"],
    "resource_policies_configmap": "A B",
    "ordered_resources": "pods=",
    "csi_snapshot_timeout": "0",
    "item_operation_timeout": "-1h",
    "include_resources": ["*", "pods"],
    "exclude_resources": ["*"],
}


def body(base=None, **given):
    return body_of({"name": "b1", "cluster": "eu1", **given}, BACKUP, base=base)


def judged(made):
    backup_request(json.dumps(made).encode())


def value_at(made, pointer):
    for step in pointer.split("/")[1:]:
        made = made[step]
    return made


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.parameter)
def test_every_option_fills_a_place_that_the_gateway_takes(field):
    made, options = body(**{field.parameter: VALUES[field.parameter]})
    judged(made)
    assert value_at(made, field.pointer) not in (None, [])
    assert options[field.pointer] == field.option


def test_every_field_of_velero_has_an_option_but_hooks_which_are_written_in_a_file():
    reached = {field.pointer.split("/")[2] for field in FIELDS if field.pointer.startswith("/spec/")}
    assert {to_camel(name) for name in BackupSpec.model_fields} - reached == {"hooks"}


@pytest.mark.parametrize("parameter", BAD)
def test_what_the_gateway_finds_wrong_is_told_by_the_option(parameter):
    made, options = body(**{parameter: BAD[parameter]})
    with pytest.raises(InvalidRequestError) as invalid:
        judged(made)
    problem = ApiError(422, {"type": "/problems/invalid-request", "detail": "wrong", "errors": invalid.value.errors})
    told = problem.told(options, made)
    option = next(field.option for field in FIELDS if field.parameter == parameter)
    assert told.words.startswith(option), told.words
    assert "/" not in told.words.partition(":")[0]
    assert told.exit_code is Exit.USAGE


def test_an_error_is_told_once_however_often_it_is_asked():
    problem = ApiError(422, {"type": "x/invalid-request", "errors": [{"pointer": "/spec/ttl", "detail": "is odd"}]})
    first = problem.told({"/spec/ttl": "--ttl"}, {"spec": {"ttl": "30x"}}).words
    assert first == problem.told().words == "--ttl 30x: is odd"


def test_several_mistakes_are_told_together_and_those_of_a_file_by_its_name():
    made, options = body(base={"scope": {"kind": "all"}, "spec": {"ttl": "30x"}}, deadline="1y")
    with pytest.raises(InvalidRequestError) as invalid:
        judged(made)
    document = {"type": "/problems/invalid-request", "errors": invalid.value.errors}
    words = ApiError(422, document).told(options, made, "b.yaml").words
    assert words.splitlines()[0] == "2 things are wrong"
    assert "--deadline: '1y'" in words
    assert "b.yaml: spec.ttl: '30x'" in words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"label": ["a b=c"]}, "--label a b=c: 'a b' is not a label name"),
        ({"ordered_resources": "pods=a b"}, "--ordered-resources pods=a b: must be a comma-separated list"),
        (
            {"snapshot_volumes": False, "snapshot_move_data": True},
            "--snapshot-move-data: has no meaning while --snapshot-volumes",
        ),
        ({"selector": "a=b", "or_selector": ["c=d"]}, "--or-selector: cannot stand beside --selector: Velero takes"),
    ],
)
def test_a_mistake_is_told_in_what_was_typed(given, words):
    made, options = body(**given)
    with pytest.raises(InvalidRequestError) as invalid:
        judged(made)
    problem = ApiError(422, {"type": "/problems/invalid-request", "errors": invalid.value.errors})
    assert problem.told(options, made).words.startswith(words)


@pytest.mark.parametrize(
    ("pointer", "option", "typed"),
    [
        ("/storage/config/s3Url", "--storage-config", "s3Url=ftp://x"),
        ("/spec/config/regio", "--config", "regio=x"),
        ("/spec/namespaceMapping/shop", "--map", "shop=Shop"),
    ],
)
def test_a_pair_is_told_as_it_was_typed(pointer, option, typed):
    whole, _, key = pointer.rpartition("/")
    made = {}
    put(made, whole, {key: typed.partition("=")[2]})
    error = ApiError(422, {"type": "x/invalid-request", "errors": [{"pointer": pointer, "detail": "is odd"}]})
    assert error.told({whole: option}, made).words == f"{option} {typed}: is odd"


def test_a_password_in_an_address_is_not_shown_again():
    made = {"storage": {"config": {"s3Url": "https://anna:MARK0123@s3/"}}}
    error = ApiError(422, {"type": "x/invalid-request", "errors": [{"pointer": "/storage/config/s3Url", "detail": "is odd"}]})
    assert error.told({"/storage/config": "--storage-config"}, made).words == "--storage-config s3Url=https://…@s3/: is odd"


@pytest.mark.parametrize(
    ("code", "facts", "hints"),
    [
        ("LocationUnknown", {"cluster": "eu1"}, ["`leeward location list --cluster eu1` shows those that exist"]),
        ("LocationUnknown", {}, ["`leeward location list` shows those that exist"]),
        ("NamespaceUnknown", {}, []),
        ("RestoreNameTaken", {"cluster": "eu1"}, []),
        ("LocationTaken", {}, ["`edit` changes it, or choose another name"]),
    ],
)
def test_advice_leaves_nothing_to_be_filled_in(code, facts, hints):
    assert ApiError(409, {"type": "x/refused", "code": code, "detail": "no"}).told(facts=facts).hints == hints


def test_words_of_the_api_are_told_as_options():
    said = [{"pointer": "/spec/objectStorage", "detail": "Taken. `allowSharedBucket=true` if it is another storage."}]
    error = ApiError(409, {"type": "x/refused", "code": "BucketShared", "detail": said[0]["detail"], "errors": said})
    assert (
        error.told({"/spec/objectStorage/bucket": "--bucket"}).words == "Taken. --allow-shared-bucket if it is another storage."
    )


def test_the_value_of_an_option_that_is_not_a_pair_is_told_as_it_was_typed():
    made, options = body(resource_policies_configmap="nope")
    errors = [{"pointer": "/spec/resourcePolicy/name", "detail": "is odd"}]
    words = ApiError(422, {"type": "x/refused", "errors": errors}).told(options, made).words
    assert words == "--resource-policies-configmap nope: is odd"


def test_without_namespaces_everything_is_asked_for_as_velero_does():
    assert body()[0]["scope"] == body(all_namespaces=True)[0]["scope"] == {"kind": "all"}
    assert body(exclude_namespace=["dev"])[0]["scope"] == {"kind": "all", "excludedNamespaces": ["dev"]}
    assert body(namespace=["a", "b,c"])[0]["scope"] == {"kind": "specific", "namespaces": ["a", "b", "c"]}


def test_a_scope_is_one_of_four_and_leaves_out_what_is_named():
    assert body(production=True, exclude_namespace=["legacy-*"])[0]["scope"] == {
        "kind": "production",
        "excludedNamespaces": ["legacy-*"],
    }
    assert body(non_production=True)[0]["scope"] == {"kind": "nonProduction"}
    file = {"scope": {"kind": "production"}}
    assert body(file, exclude_namespace=["x"])[0]["scope"] == {"kind": "production", "excludedNamespaces": ["x"]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"all_namespaces": True, "namespace": ["shop"]}, "--all-namespaces and --namespace"),
        ({"production": True, "non_production": True}, "--production and --non-production"),
        ({"production": True, "namespace": ["shop"]}, "--production and --namespace"),
    ],
)
def test_two_scopes_exclude_each_other(given, words):
    with pytest.raises(CliError, match=words):
        body(**given)


@pytest.mark.parametrize(
    ("given", "base", "pointer", "named"),
    [
        ({"include_resources": ["pods,foos"]}, None, "/spec/includedResources", "--include-resources: "),
        ({}, None, "/spec/storageLocation", "--storage-location: "),
        ({"production": True}, None, "/scope", "--production: "),
        ({"namespace": ["shop"]}, None, "/scope/namespaces", "--namespace: "),
        ({}, {"spec": {"includedResources": ["foos"]}}, "/spec/includedResources", "b.yaml: spec.includedResources: "),
        ({}, None, "", "It cannot be."),
    ],
)
def test_what_the_cluster_refuses_is_told_by_the_option_too(given, base, pointer, named):
    made, options = body(base, **given)
    document = {"type": "x/refused", "code": "KindUnknown", "detail": "It cannot be."}
    document["errors"] = [{"pointer": pointer, "detail": "It cannot be."}] if pointer else []
    told = ApiError(422, document).told(options, made, "b.yaml" if base else None)
    assert told.words.startswith(named), told.words
    assert told.words.endswith("It cannot be.")
    assert told.exit_code is Exit.FAILED


def test_options_win_over_the_file_and_leave_the_rest_of_it():
    file = {
        "name": "f",
        "cluster": "us1",
        "scope": {"kind": "specific", "namespaces": ["x"]},
        "spec": {"ttl": "1h", "hooks": {}},
    }
    made, _ = body_of({"cluster": "eu1", "ttl": "2h"}, BACKUP, base=file)
    assert made == {**file, "cluster": "eu1", "spec": {"ttl": "2h", "hooks": {}}}
    assert file["spec"]["ttl"] == "1h"
    assert body_of({"namespace": ["y"]}, BACKUP, base=file)[0]["scope"]["namespaces"] == ["y"]
    assert body_of({"all_namespaces": True}, BACKUP, base=file)[0]["scope"] == {"kind": "all"}


def test_what_no_request_can_do_without_is_asked_for():
    with pytest.raises(CliError, match=r"NAME.*and.*--cluster") as error:
        body_of({"all_namespaces": True}, BACKUP)
    assert error.value.exit_code is Exit.USAGE


def test_selectors_are_written_as_kubectl_takes_them():
    assert selector("a=b,c==d,e!=f,g,!h") == {
        "matchLabels": {"a": "b", "c": "d"},
        "matchExpressions": [
            {"key": "e", "operator": "NotIn", "values": ["f"]},
            {"key": "g", "operator": "Exists"},
            {"key": "h", "operator": "DoesNotExist"},
        ],
    }


@pytest.mark.parametrize(
    ("form", "value"),
    [(pairs, ["team"]), (pairs, ["=shop"]), (selector, "a in (b,c)"), (orders, "pods")],
    ids=lambda value: getattr(value, "__name__", "value"),
)
def test_what_cannot_be_read_is_refused_before_anything_is_sent(form, value):
    with pytest.raises(ValueFormError, match=r"is not written as|from-file"):
        form(value)


def test_a_value_that_cannot_be_read_is_told_by_its_option():
    with pytest.raises(CliError, match=r"--label: 'team' is not written as key=value"):
        body(label=["team"])
