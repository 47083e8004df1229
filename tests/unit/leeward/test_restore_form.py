"""From options to the body of a restore, judged by the gateway's own rules, and back from its complaints to the options."""

import json

import pytest
import yaml
from pydantic.alias_generators import to_camel

from leeward.errors import CliError, Exit
from leeward.problems import ApiError
from leeward.request import at, body_of
from leeward.restores import form
from services.gateway.restores import rules as restorerules
from services.gateway.restores.forms import CreateRestore
from services.gateway.validation import InvalidRequestError, checked
from shared.contracts.restorespec import RestoreSpec

RULES = {
    "version": "v1",
    "resourceModifierRules": [
        {
            "conditions": {"groupResource": "deployments.apps"},
            "patches": [{"operation": "replace", "path": "/spec/replicas", "value": "1"}],
        }
    ],
}
VALUES = {
    "backup": "b1",
    "schedule": "s1",
    "cluster": "us1",
    "namespace": ["shop,cart"],
    "exclude_namespace": ["dev"],
    "map": ["shop=shop-2", "cart:cart-2"],
    "existing_resource_policy": "update",
    "label": ["team=shop"],
    "deadline": "2h",
    "include_resources": ["deployments.apps"],
    "exclude_resources": ["secrets"],
    "include_cluster_resources": False,
    "selector": "a=b",
    "or_selector": ["a=b", "c=d"],
    "status_include_resources": ["pods"],
    "status_exclude_resources": ["pods"],
    "restore_volumes": False,
    "preserve_nodeports": True,
    "modifiers_file": "rules.yaml",
    "resource_modifier_configmap": "rules",
    "write_sparse_files": True,
    "parallel_files_download": 4,
    "item_operation_timeout": "1h",
    "storage_config": ["s3Url=http://minio.other:9000"],
    "storage_cacert": "ca.pem",
}
BAD = {
    "backup": "x" * 300,
    "cluster": "EU 1",
    "namespace": ["shop-*"],
    "map": ["a=b,c=b"],
    "existing_resource_policy": "overwrite",
    "label": ["team=-"],
    "deadline": "1y",
    "selector": "a=-",
    "resource_modifier_configmap": "A B",
    "parallel_files_download": 0,
    "item_operation_timeout": "-1h",
}
IN_A_FILE = {"hooks"}
"""What no option fills."""


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    monkeypatch.chdir(tmp_path)


def body(**given):
    whole = given if given.keys() & {"backup", "schedule"} else {"backup": "b1", **given}
    return body_of(whole, form.RESTORE)


def judged(made):
    return checked(CreateRestore, json.dumps(made).encode(), restorerules.PARTS)


@pytest.mark.parametrize("field", form.FIELDS, ids=lambda field: field.parameter)
def test_every_option_fills_a_place_that_the_gateway_takes(field):
    made, options = body(**{field.parameter: VALUES[field.parameter]})
    judged(made)
    assert at(made, field.pointer) not in (None, [])
    assert options[field.pointer] == field.option


def test_every_field_has_an_option_but_hooks_which_are_written_in_a_file():
    reached = {field.pointer.split("/")[2] for field in form.FIELDS if field.pointer.startswith("/spec/")}
    assert {to_camel(name) for name in RestoreSpec.model_fields if name != "restore_p_vs"} - reached == IN_A_FILE
    assert "restorePVs" in reached
    beside = {field.pointer.split("/")[1] for field in form.FIELDS}
    assert {str(info.alias) for info in CreateRestore.model_fields.values()} - beside == {"name", "credential"}


@pytest.mark.parametrize("parameter", BAD)
def test_what_the_gateway_finds_wrong_is_told_by_the_option(parameter):
    made, options = body(**{parameter: BAD[parameter]})
    with pytest.raises(InvalidRequestError) as invalid:
        judged(made)
    problem = ApiError(422, {"type": "/problems/invalid-request", "detail": "wrong", "errors": invalid.value.errors})
    told = problem.told(options, made)
    option = next(field.option for field in form.FIELDS if field.parameter == parameter)
    assert option in told.words, told.words
    assert told.exit_code is Exit.USAGE


def test_velero_s_spelling_of_a_mapping_means_the_same():
    assert body(map=["a:b,c=d"])[0]["spec"]["namespaceMapping"] == {"a": "b", "c": "d"}


def test_rules_are_taken_over_as_they_stand_in_velero_s_configmap():
    assert body(modifiers_file="rules.yaml")[0]["resourceModifiers"] == RULES


@pytest.mark.parametrize(
    ("text", "said"), [("- a", "holds no rules"), ("a: [", "is neither YAML nor JSON"), (None, "cannot be read")]
)
def test_what_is_no_file_of_rules_is_told_by_its_option(tmp_path, text, said):
    if text is not None:
        (tmp_path / "odd").write_text(text)
    with pytest.raises(CliError, match=f"--modifiers-file: odd {said}") as error:
        body(modifiers_file="odd")
    assert error.value.exit_code is Exit.USAGE
