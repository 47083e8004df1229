"""Which objects of a backup a restore is about, and through which storage another cluster reads it."""

import pytest
from pydantic import ValidationError

from services.gateway.restores import concerned, mirrors, sourcing
from services.gateway.restores import rules as restorerules
from services.gateway.restores.concerned import Names
from services.gateway.restores.forms import CreateRestore, StorageOverrides
from services.gateway.validation import InvalidRequestError, checked
from shared.contracts.events import KindInfo
from shared.contracts.restorespec import RestoreSpec
from shared.contracts.surveys import Held
from shared.contracts.views import LocationItem
from tests.support.gateway import NOW

DEPLOYMENTS = Held(api_version="apps/v1", kind="Deployment", names=["shop/web", "cart/web"])
POLICIES = Held(api_version="networking.k8s.io/v1", kind="NetworkPolicy", names=["shop/deny"])
VOLUMES = Held(api_version="v1", kind="PersistentVolume", names=["pv-1"])
EVENTS = Held(api_version="v1", kind="Event", names=["shop/e"])
RESTORES = Held(api_version="velero.io/v1", kind="Restore", names=["velero/r"])
SPACES = Held(api_version="v1", kind="Namespace", names=["shop", "cart"])
HELD = [DEPLOYMENTS, POLICIES, VOLUMES, EVENTS, RESTORES, SPACES]
NAMES = Names.told(
    [
        KindInfo(
            name="deployments", group="apps", kind="Deployment", namespaced=True, singular="deployment", short_names=["deploy"]
        ),
        KindInfo(name="persistentvolumes", group="", kind="PersistentVolume", namespaced=False, short_names=["pv"]),
    ]
)


def chosen(spec, held=HELD, names=NAMES):
    found = concerned.concerned(held, RestoreSpec.model_validate(spec), names)
    return {each.kind: each.names for each in found}


def test_everything_is_restored_but_what_velero_never_restores():
    assert chosen({}).keys() == {"Deployment", "NetworkPolicy", "PersistentVolume", "Namespace"}


@pytest.mark.parametrize(
    "name",
    [
        "deployments",
        "Deployment",
        "deploy",
        "deployments.apps",
        "deployment.apps",
        "deploy.apps",
        "deployments.v1.apps",
        "DEPLOY",
    ],
)
def test_a_kind_is_meant_by_each_of_its_names(name):
    assert chosen({"includedResources": [name]}).keys() == {"Deployment"}
    assert "Deployment" not in chosen({"excludedResources": [name]})


@pytest.mark.parametrize("name", ["networkpolicies", "networkpolicy", "networkpolicies.networking.k8s.io"])
def test_a_kind_that_no_cluster_has_told_of_is_known_by_its_own_name(name):
    assert chosen({"includedResources": [name]}).keys() == {"NetworkPolicy"}


def test_a_name_with_another_group_is_another_kind():
    assert chosen({"includedResources": ["deployments.extensions"]}) == {}
    assert chosen({"includedResources": ["*"], "excludedResources": ["pv"]}).keys() == {
        "Deployment",
        "NetworkPolicy",
        "Namespace",
    }


def test_namespaces_choose_what_lies_in_them():
    assert chosen({"includedNamespaces": ["cart"]}) == {"Deployment": ["cart/web"], "Namespace": ["cart"]}
    assert chosen({"excludedNamespaces": ["cart"]}).get("NetworkPolicy") == ["shop/deny"]


@pytest.mark.parametrize(
    ("spec", "there"),
    [
        ({}, True),
        ({"includedNamespaces": ["shop"]}, False),
        ({"excludedNamespaces": ["shop"]}, False),
        ({"includedNamespaces": ["shop"], "includeClusterResources": True}, True),
        ({"includeClusterResources": False}, False),
    ],
)
def test_what_lies_outside_of_namespaces_comes_with_all_of_them_or_when_it_is_asked_for(spec, there):
    assert ("PersistentVolume" in chosen(spec)) is there


def test_objects_are_named_as_they_will_be_and_namespaces_are_no_objects():
    there = concerned.in_target([*HELD[:3], SPACES], {"shop": "old"})
    assert [each.names for each in there] == [["old/web", "cart/web"], ["old/deny"], ["pv-1"]]
    assert concerned.namespaces_in(HELD) == {"shop", "cart", "velero"}


# ---------------------------------------------------------------------- mirrors


def location(**facts):
    spec = {
        "provider": "aws",
        "objectStorage": {"bucket": "backups", "prefix": "/eu1/", "caCertRef": {"name": "x", "key": "y"}},
        "config": {"region": "eu", "profile": "eu1", "s3Url": "http://eu1"},
        "credential": {"name": "cloud", "key": "cloud"},
        "default": True,
        "backupSyncPeriod": "0s",
    }
    plain = {"id": "l", "name": "default", "cluster": "eu1", "namespace": "velero", "status": "Available", "provider": "aws"}
    return LocationItem(**{**plain, "bucket": "backups", "prefix": "/eu1/", "spec": spec, **facts})


def test_a_mirror_is_read_only_and_has_nothing_that_only_its_own_cluster_has():
    made = mirrors.mirror(location(), None)
    assert made.model_dump(by_alias=True, exclude_none=True) == {
        "provider": "aws",
        "objectStorage": {"bucket": "backups", "prefix": "/eu1/"},
        "config": {"region": "eu", "s3Url": "http://eu1"},
        "accessMode": "ReadOnly",
    }


def test_what_a_request_says_of_the_storage_comes_before_what_its_own_cluster_says():
    said = StorageOverrides.model_validate({"config": {"s3Url": "https://us1", "region": None, "profile": "mine"}})
    assert mirrors.mirror(location(), said).config == {"s3Url": "https://us1", "profile": "mine"}
    with pytest.raises(ValidationError, match="nonsense"):
        mirrors.mirror(location(), StorageOverrides.model_validate({"config": {"nonsense": "x"}}))
    with pytest.raises(ValidationError, match="certificates"):
        mirrors.mirror(location(), StorageOverrides.model_validate({"objectStorage": {"caCert": "x"}}))
    with pytest.raises(ValidationError):
        mirrors.mirror(location(spec={"objectStorage": 7}), None)


@pytest.mark.parametrize(
    ("provider", "config", "steered"),
    [
        ("aws", {"s3Url": "http://eu1", "region": "us", "s3ForcePathStyle": "true", "insecureSkipTLSVerify": None}, []),
        (
            "aws",
            {"s3Url": "http://us1", "profile": "eu1", "insecureSkipTLSVerify": "true"},
            ["insecureSkipTLSVerify", "profile", "s3Url"],
        ),
        ("velero.io/azure", {"storageAccountURI": "https://x", "resourceGroup": "a"}, ["storageAccountURI"]),
        ("gcp", {"storeEndpoint": "https://x", "serviceAccount": "a"}, ["storeEndpoint"]),
        ("example.com/disks", {"host": "x", "s3Url": "http://eu1"}, ["host"]),
    ],
)
def test_settings_that_decide_to_whom_a_credential_is_shown_are_told_apart(provider, config, steered):
    said = StorageOverrides.model_validate({"config": config})
    assert mirrors.steered(location(provider=provider), said) == steered
    assert mirrors.steered(location(provider=provider), None) == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("includedNamespaces", ["*"], "without includedNamespaces, all of the backup are restored"),
        ("excludedNamespaces", ["sh*"], "Velero takes no patterns here"),
        ("namespaceMapping", {"A": "b"}, "at most 63 lower case letters"),
    ],
)
def test_namespaces_of_a_restore_are_refused_in_words_of_their_own(field, value, words):
    with pytest.raises(ValidationError, match=words) as refused:
        RestoreSpec.model_validate({field: value})
    assert "scope" not in str(refused.value)
    assert "or a pattern" not in str(refused.value)


def test_two_restores_of_one_second_that_nobody_has_named_have_two_names():
    one, other = (sourcing.default_name("shop", NOW, operation) for operation in ("3f2a9c01-1", "77b0c01d-2"))
    assert (one, other) == ("shop-20260301120000-3f2a", "shop-20260301120000-77b0")
    long = sourcing.default_name("a" * 253, NOW, "3f2a9c01")
    assert (len(long), long.endswith("a-20260301120000-3f2a")) == (253, True)


# ---------------------------------------------------------------------- the request


def test_a_request_is_the_same_whatever_the_credential_in_it_but_not_without_one():
    one, other = ({"backup": "b", "credential": {"file": text}} for text in ("a", "b"))
    digests = [
        CreateRestore.model_validate(body).digest() for body in (one, other, {"backup": "b"}, {"backup": "b", "spec": {}})
    ]
    assert digests[0] == digests[1] != digests[2] == digests[3]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"spec": {"itemOperationTimeout": "0s"}}', "/spec/itemOperationTimeout"),
        ('{"spec": {"excludedResources": ["*"]}}', "/spec/excludedResources/0"),
        ('{"spec": {"includedResources": ["pods"], "excludedResources": ["pods"]}}', "/spec/excludedResources/0"),
        (
            '{"spec": {"restoreStatus": {"includedResources": ["pods"], "excludedResources": ["pods"]}}}',
            "/spec/restoreStatus/excludedResources/0",
        ),
        (
            '{"spec": {"hooks": {"resources":[{"name":"h","postHooks":[{"exec":{"command":["a"],"execTimeout":"0s"}}]}]}}}',
            "/spec/hooks/resources/0/postHooks/0/exec/execTimeout",
        ),
        (
            '{"spec": {"hooks": {"resources": [{"name": "h", "includedNamespaces": ["a"], "excludedNamespaces": ["a"]}]}}}',
            "/spec/hooks/resources/0/excludedNamespaces/0",
        ),
        (
            '{"spec": {"hooks": {"resources":[{"name":"h","postHooks":[{"init":{"initContainers":[{"name":"a"}]}}]}]}}}',
            "/spec/hooks/resources/0/postHooks/0/init/initContainers/0",
        ),
        ('{"deadline": "0s"}', "/deadline"),
        ('{"labels": {"leeward.dev/x": "y"}}', "/labels/leeward.dev~1x"),
        ('{"spec": {"hooks": {"resources": [{"name": "h", "postHooks": [{}]}]}}}', "/spec/hooks/resources/0/postHooks/0"),
        ('{"spec": {"includedNamespaces": ["shop-*"]}}', "/spec/includedNamespaces/0"),
        ('{"resourceModifiers": {"resourceModifierRules": []}}', "/resourceModifiers/resourceModifierRules"),
    ],
)
def test_what_velero_would_ignore_or_fail_on_is_refused_by_its_field(body, pointer):
    whole = '{"backup": "b", ' + body[1:]
    with pytest.raises(InvalidRequestError) as refused:
        checked(CreateRestore, whole.encode(), restorerules.PARTS)
    assert [error["pointer"] for error in refused.value.errors] == [pointer]
