"""A resource policy: taken or refused as Velero 1.18 takes or refuses it when a backup begins."""

from time import process_time

import pytest

from services.executor.backups.policies import Policy, read

GOOD = """
version: v1
volumePolicies:
- conditions:
    capacity: "10Gi,100Gi"
    storageClass: [gp2, ebs-sc]
    csi: {driver: ebs.csi.aws.com, volumeAttributes: {a: b}}
    nfs: {server: 10.0.0.1, path: /data}
    volumeTypes: [emptyDir]
    pvcLabels: {tier: gold}
    pvcPhase: [Pending]
    pvcVolumeMode: Block
    pvcAccessModes: [ReadWriteOnce]
  action: {type: skip}
- conditions: {}
  action: {type: snapshot, parameters: {a: 1}}
- action: {type: fs-backup}
- action: {type: custom}
"""


def policy(text, **more):
    return read({"data": {"policy.yaml": text, **more}})


def rule(conditions="{}", action="{type: skip}"):
    return policy(f"version: v1\nvolumePolicies:\n- conditions: {conditions}\n  action: {action}\n")


def test_everything_that_velero_knows_is_taken():
    assert policy(GOOD) == Policy()


@pytest.mark.parametrize(
    "text",
    [
        "version: v1",
        "version: v1\nvolumePolicies:",
        "version: v1\nincludeExcludePolicy:",
        "version: v1\nincludeExcludePolicy: {includedNamespaceScopedResources: [po], excludedClusterScopedResources: [no]}",
        "version: v1\n---\nfurther: documents\n",
        "base: &a {type: skip}\nversion: v1\nvolumePolicies: [*a]",
        "version: v1\nvolumePolicies: [{<<: {action: {type: odd}}, action: {type: skip}}]",
        "version:\tv1",
        "version: v1\nvolumePolicies: [null]",
        "version: v1 # " + "x" * 200_000,
    ],
)
def test_what_says_little_or_too_much_is_taken(text):
    assert policy(text).problem == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: v2", "version must be v1"),
        ("volumePolicies: []", "version must be v1"),
        ("version: v1\nvolumePolices: []", "volumePolices is not known"),
        ("version: v1\nvolumePolicies: {}", "must be a list"),
        ("version: v1\nvolumePolicies: [skip]", "volumePolicies[0]: must be a mapping"),
        ("version: v1\nvolumePolicies: [{action: {type: skip}, when: now}]", "volumePolicies[0]: when is not known"),
        ("version: v1\nvolumePolicies: [{conditions: {}}]", "action.type must be one of skip, fs-backup, snapshot, custom"),
        ("", "must be a mapping"),
        ("just words", "must be a mapping"),
        ("version: [", "not YAML"),
        ("version: v1\nversion: v1", "a key stands twice"),
        ("version: v1\nclusterScopedFilterPolicy: {}", "must not be empty"),
        ("version: v1\nx: !!python/object:os.system {}", "not YAML"),
        ("[" * 60_000, "not YAML"),
        ("version: v1\nincludeExcludePolicy: [pods]", "must be a mapping"),
        ("version: v1\nincludeExcludePolicy: {includedResources: [pods]}", "includedResources is not known"),
        ("version: v1\nincludeExcludePolicy: {includedClusterScopedResources: nodes}", "must be a list of texts"),
        ("version: v1\nincludeExcludePolicy: {excludedClusterScopedResources: ['*']}", "'*' may stand in neither"),
        (
            "version: v1\nincludeExcludePolicy: {includedClusterScopedResources: [a], excludedClusterScopedResources: [a]}",
            "a is in includedClusterScopedResources and in excludedClusterScopedResources",
        ),
    ],
)
def test_what_velero_would_not_take_is_said_in_words_that_name_the_place(text, words):
    assert words in policy(text).problem


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ("{storageclass: [a]}", "conditions.storageclass is not known"),
        ("{storageClass: gp2}", "conditions.storageClass must be a list"),
        ("{volumeTypes: [{a: b}]}", "conditions.volumeTypes must be a list"),
        ("{pvcLabels: [a]}", "conditions.pvcLabels must be a mapping"),
        ("{pvcVolumeMode: [Block]}", "conditions.pvcVolumeMode must be a text"),
        ("{nfs: {host: a}}", "conditions.nfs must be a mapping of server and path"),
        ("{csi: {driver: a, attributes: {}}}", "conditions.csi must be a mapping"),
        ("{csi: {volumeAttributes: {a: b}}}", "conditions.csi must be told with its driver"),
        ("[]", "conditions must be a mapping"),
        ("{csi: {volumeAttributes: {}}}", "conditions.csi must be told with its driver"),
        ("{pvcAccessModes: [1]}", "conditions.pvcAccessModes must be a list"),
        ("{pvcLabels: null}", "conditions.pvcLabels must be a mapping"),
        ("{storageClass: [1, true]}", ""),
        ("{capacity: ''}", ""),
        ("[a]", "conditions must be a mapping"),
        ("{capacity: '10Gi'}", "conditions.capacity must be two quantities"),
        ("{capacity: '100Gi,10Gi'}", "conditions.capacity must be two quantities"),
        ("{capacity: '1,2,3'}", "conditions.capacity must be two quantities"),
        ("{capacity: '1XB,2XB'}", "conditions.capacity must be two quantities"),
        ("{capacity: 10}", "conditions.capacity must be two quantities"),
        ("{capacity: '10Gi,'}", ""),
        ("{capacity: ',10Gi'}", ""),
        ("{capacity: '10G,10Gi'}", ""),
        ("{capacity: '1000m,1e3'}", ""),
        ("{capacity: null, csi: null}", ""),
    ],
)
def test_conditions_are_judged_one_by_one(conditions, words):
    problem = rule(conditions).problem
    assert words in problem
    assert bool(words) == bool(problem)


@pytest.mark.parametrize("action", ["{type: delete}", "skip", "{type: skip, force: true}", "{type: skip, parameters: 1}", "{}"])
def test_so_are_actions(action):
    assert rule(action=action).problem.startswith("volumePolicies[0]: action")


def test_exactly_one_key_of_data_counts():
    assert "has 2" in policy(GOOD, more="x").problem
    assert "has 0" in read({}).problem
    assert "has 0" in read({"data": None, "binaryData": {"policy.yaml": "AA=="}}).problem


def test_the_parts_that_choose_resources_are_named():
    both = "version: v1\nincludeExcludePolicy: {excludedClusterScopedResources: [nodes]}\nnamespacedFilterPolicies: [{}]"
    assert policy(both).filters == ("includeExcludePolicy", "namespacedFilterPolicies")
    assert policy(GOOD).filters == ()


def test_a_number_of_any_length_is_judged_in_no_time():
    begun = process_time()
    assert "two quantities" in rule(f"{{capacity: '{'1' * 50_000}x'}}").problem
    assert process_time() - begun < 5
