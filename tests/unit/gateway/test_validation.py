import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rules import SPEC_RULES, unknown_mover
from services.gateway.schemas import ClusterSettings, DeleteBackups, RegisterCluster, ScopeRequest
from services.gateway.validation import (
    InvalidRequestError,
    NotJsonError,
    backup_command,
    backup_request,
    checked,
    cluster_and_mover,
    merged_settings,
    needs_environments,
    read,
)
from services.gateway.web.answers import problem_of
from shared.contracts.backupspec import BackupSpec, LabelSelector
from shared.contracts.selectors import Environments

GOOD = {"name": "shop", "cluster": "eu1", "scope": {"kind": "all"}}
OLD = {"includedResources": ["deployments"]}


def body(**facts):
    return json.dumps({**GOOD, **facts}).encode()


def pointers(raw: bytes) -> set[str]:
    with pytest.raises(InvalidRequestError) as caught:
        backup_request(raw)
    assert all(error["detail"] for error in caught.value.errors)
    return {error["pointer"] for error in caught.value.errors}


def spec(**facts):
    return body(spec=facts)


BAD: list[tuple[str, bytes, str]] = [
    ("unknown field", body(surprise=1), "/surprise"),
    ("python's spelling of a field", spec(included_resources=["pods"]), "/spec/included_resources"),
    ("unknown field deep down", spec(hooks={"resources": [{"name": "a", "odd": 1}]}), "/spec/hooks/resources/0/odd"),
    ("no name", b'{"cluster": "eu1", "scope": {"kind": "all"}}', "/name"),
    ("upper case name", body(name="Shop"), "/name"),
    ("empty name", body(name=""), "/name"),
    ("long name", body(name="a" * 254), "/name"),
    ("name that is no text", body(name=5), "/name"),
    ("cluster that is no DNS label", body(cluster="eu.1"), "/cluster"),
    ("cluster with a newline", body(cluster="eu1\n"), "/cluster"),
    ("no scope", b'{"name": "shop", "cluster": "eu1"}', "/scope"),
    ("scope of no kind", body(scope={}), "/scope/kind"),
    ("scope of an unknown kind", body(scope={"kind": "some"}), "/scope/kind"),
    ("no namespace", body(scope={"kind": "specific", "namespaces": []}), "/scope/namespaces"),
    ("odd namespace", body(scope={"kind": "specific", "namespaces": ["a", "B"]}), "/scope/namespaces/1"),
    ("every namespace by name", body(scope={"kind": "specific", "namespaces": ["*"]}), "/scope/namespaces/0"),
    ("everything excluded", body(scope={"kind": "all", "excludedNamespaces": ["*"]}), "/scope/excludedNamespaces/0"),
    (
        "namespace in both lists",
        body(scope={"kind": "specific", "namespaces": ["a", "b"], "excludedNamespaces": ["c", "b"]}),
        "/scope/excludedNamespaces/1",
    ),
    (
        "namespace that a pattern leaves out again",
        body(scope={"kind": "specific", "namespaces": ["a", "team-b"], "excludedNamespaces": ["x-*", "team-*"]}),
        "/scope/excludedNamespaces/1",
    ),
    ("everything by a pattern", body(scope={"kind": "specific", "namespaces": ["a**"]}), "/scope/namespaces/0"),
    ("braces, which Velero does not know", body(scope={"kind": "specific", "namespaces": ["{a,b}*"]}), "/scope/namespaces/0"),
    ("a pattern of no name", body(scope={"kind": "production", "excludedNamespaces": ["A*"]}), "/scope/excludedNamespaces/0"),
    (
        "namespaces beside an environment",
        body(scope={"kind": "production", "namespaces": ["a"]}),
        "/scope/namespaces",
    ),
    (
        "more patterns than anybody needs",
        body(scope={"kind": "specific", "namespaces": [f"n{i}-*" for i in range(101)]}),
        "/scope/namespaces",
    ),
    (
        "more patterns than anybody needs, excluded",
        body(scope={"kind": "nonProduction", "excludedNamespaces": [f"n{i}-*" for i in range(101)]}),
        "/scope/excludedNamespaces",
    ),
    ("odd label name", body(labels={"bad key!": "x"}), "/labels/bad key!"),
    ("odd label value", body(labels={"team": "a b"}), "/labels/team"),
    ("label value that is no text", body(labels={"team": 1}), "/labels/team"),
    ("Velero's label", body(labels={"velero.io/schedule-name": "x"}), "/labels/velero.io~1schedule-name"),
    ("our label", body(labels={"leeward.dev/cluster": "us1"}), "/labels/leeward.dev~1cluster"),
    ("ttl that is none", spec(ttl="banana"), "/spec/ttl"),
    ("negative ttl", spec(ttl="-1h"), "/spec/ttl"),
    ("no ttl at all", spec(ttl="0"), "/spec/ttl"),
    ("no ttl in other words", spec(ttl="0h0m"), "/spec/ttl"),
    ("ttl in digits that Go cannot read", spec(ttl="\u0661h"), "/spec/ttl"),
    ("ttl as a number", spec(ttl=720), "/spec/ttl"),
    ("ttl null", spec(ttl=None), "/spec/ttl"),
    ("ttl beyond Go", spec(ttl="99999999h"), "/spec/ttl"),
    ("no time for snapshots", spec(csiSnapshotTimeout="0s"), "/spec/csiSnapshotTimeout"),
    ("no time for operations", spec(itemOperationTimeout="0"), "/spec/itemOperationTimeout"),
    ("no deadline", body(deadline="0"), "/deadline"),
    ("negative deadline", body(deadline="-1h"), "/deadline"),
    ("long deadline", body(deadline="169h"), "/deadline"),
    ("empty selector", spec(labelSelector={}), "/spec/labelSelector"),
    ("selector with empty labels", spec(labelSelector={"matchLabels": {}}), "/spec/labelSelector"),
    ("empty selector among several", spec(orLabelSelectors=[{"matchLabels": {"a": "b"}}, {}]), "/spec/orLabelSelectors/1"),
    (
        "unknown operator",
        spec(labelSelector={"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}),
        "/spec/labelSelector/matchExpressions/0/operator",
    ),
    (
        "In without values",
        spec(labelSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
        "/spec/labelSelector/matchExpressions/0",
    ),
    (
        "both kinds of selector",
        spec(labelSelector={"matchLabels": {"a": "b"}}, orLabelSelectors=[{"matchLabels": {"c": "d"}}]),
        "/spec/orLabelSelectors",
    ),
    ("both filter families", spec(**OLD, excludedNamespaceScopedResources=["pods"]), "/spec/excludedNamespaceScopedResources"),
    (
        "the old switch beside a new filter",
        spec(includeClusterResources=False, includedClusterScopedResources=["nodes"]),
        "/spec/includedClusterScopedResources",
    ),
    ("everything excluded, globally", spec(excludedResources=["*"]), "/spec/excludedResources/0"),
    ("everything and something", spec(includedResources=["pods", "*"]), "/spec/includedResources/1"),
    ("kind in both lists", spec(includedResources=["pods"], excludedResources=["pods"]), "/spec/excludedResources/0"),
    (
        "everything and something excluded",
        spec(excludedClusterScopedResources=["*", "nodes"]),
        "/spec/excludedClusterScopedResources/0",
    ),
    (
        "everything excluded beside something included",
        spec(includedNamespaceScopedResources=["pods"], excludedNamespaceScopedResources=["*"]),
        "/spec/excludedNamespaceScopedResources/0",
    ),
    ("spaces in ordered resources", spec(orderedResources={"pods": "a/b, a/c"}), "/spec/orderedResources/pods"),
    ("nothing in ordered resources", spec(orderedResources={"pods": ""}), "/spec/orderedResources/pods"),
    ("a comma too many in ordered resources", spec(orderedResources={"pods": "a/b,"}), "/spec/orderedResources/pods"),
    ("a name in three parts", spec(orderedResources={"pods": "a/b/c"}), "/spec/orderedResources/pods"),
    ("ordered resources of no kind", spec(orderedResources={"": "a/b"}), "/spec/orderedResources/"),
    ("moving snapshots that are not taken", spec(snapshotVolumes=False, snapshotMoveData=True), "/spec/snapshotMoveData"),
    ("mover beside no snapshots", spec(snapshotVolumes=False, datamover="velero"), "/spec/datamover"),
    (
        "snapshot locations beside no snapshots",
        spec(snapshotVolumes=False, volumeSnapshotLocations=["aws"]),
        "/spec/volumeSnapshotLocations",
    ),
    (
        "group label beside no snapshots",
        spec(snapshotVolumes=False, volumeGroupSnapshotLabelKey="a.b/group"),
        "/spec/volumeGroupSnapshotLabelKey",
    ),
    (
        "hook for a namespace that it leaves out",
        spec(hooks={"resources": [{"name": "h", "includedNamespaces": ["a"], "excludedNamespaces": ["b", "a"]}]}),
        "/spec/hooks/resources/0/excludedNamespaces/1",
    ),
    (
        "hook for a kind that it leaves out",
        spec(hooks={"resources": [{"name": "h", "includedResources": ["pods"], "excludedResources": ["pods"]}]}),
        "/spec/hooks/resources/0/excludedResources/0",
    ),
    ("snapshot timeout beside no snapshots", spec(snapshotVolumes=False, csiSnapshotTimeout="20m"), "/spec/csiSnapshotTimeout"),
    ("text for a switch", spec(snapshotVolumes="yes"), "/spec/snapshotVolumes"),
    ("text for a number", spec(uploaderConfig={"parallelFilesUpload": "10"}), "/spec/uploaderConfig/parallelFilesUpload"),
    ("no parallel upload", spec(uploaderConfig={"parallelFilesUpload": 0}), "/spec/uploaderConfig/parallelFilesUpload"),
    ("policy of a kind that Velero ignores", spec(resourcePolicy={"kind": "Secret", "name": "p"}), "/spec/resourcePolicy/kind"),
    (
        "hook without command",
        spec(hooks={"resources": [{"name": "a", "pre": [{"exec": {"command": []}}]}]}),
        "/spec/hooks/resources/0/pre/0/exec/command",
    ),
    (
        "hook without time",
        spec(hooks={"resources": [{"name": "a", "post": [{"exec": {"command": ["x"], "timeout": "0s"}}]}]}),
        "/spec/hooks/resources/0/post/0/exec/timeout",
    ),
    ("namespaces in the spec", spec(includedNamespaces=["a"]), "/spec/includedNamespaces"),
    ("a list", b"[]", ""),
    ("null", b"null", ""),
]


@pytest.mark.parametrize(("raw", "pointer"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_is_wrong_is_named_by_its_pointer_and_nothing_else_is(raw, pointer):
    assert pointers(raw) == {pointer}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"name": "\\ud800"}', b"[" * 100_000, b'{"a": NaN}x'])
def test_what_is_not_json_is_told_apart_from_what_is_not_valid(raw):
    with pytest.raises(NotJsonError):
        backup_request(raw)


def test_all_problems_are_told_at_once_those_between_fields_too():
    raw = body(
        name="A",
        labels={"velero.io/x": "y"},
        scope={"kind": "specific", "namespaces": ["a"], "excludedNamespaces": ["a"]},
        spec={"ttl": "0", "snapshotVolumes": False, "datamover": "odd"},
        deadline="200h",
    )
    assert pointers(raw) == {
        "/name",
        "/labels/velero.io~1x",
        "/scope/excludedNamespaces/0",
        "/spec/ttl",
        "/spec/datamover",  # beside snapshotVolumes: whether there is one of that name is the cluster's settings to say
        "/deadline",
    }


GOOD_SPECS = {
    "nothing said": {},
    "the form's whole example": {
        "includedResources": ["deployments"],
        "excludedResources": ["events"],
        "includeClusterResources": None,
        "storageLocation": "default",
        "volumeSnapshotLocations": ["aws"],
        "snapshotVolumes": True,
        "snapshotMoveData": False,
        "defaultVolumesToFsBackup": False,
        "datamover": "velero",
        "uploaderConfig": {"parallelFilesUpload": 10},
        "csiSnapshotTimeout": "10m",
        "itemOperationTimeout": "72h",
        "ttl": "720h",
    },
    "no snapshots, with the defaults that a form sends": {
        "snapshotVolumes": False,
        "snapshotMoveData": False,
        "csiSnapshotTimeout": "600s",
        "volumeSnapshotLocations": [],
        "datamover": "",
    },
    "everything included": {"includedResources": ["*"], "excludedResources": ["events"]},
    "nothing of the cluster": {"excludedClusterScopedResources": ["*"]},
    "an old list that is empty beside a new one": {"includedResources": [], "includedClusterScopedResources": ["nodes"]},
    "a policy beside old filters": {**OLD, "resourcePolicy": {"kind": "ConfigMap", "name": "skip-nfs"}},
    "ordered": {"orderedResources": {"pods": "a/b,a/c", "persistentvolumes": "pv1"}},
}


@pytest.mark.parametrize("wanted", GOOD_SPECS.values(), ids=GOOD_SPECS)
def test_what_velero_takes_is_taken(wanted):
    assert backup_request(spec(**wanted)).spec


def test_days_become_hours_and_a_mover_gets_veleros_name():
    command = backup_command(backup_request(spec(ttl="30d", datamover="kopia")))
    assert (command.spec.ttl, command.spec.datamover) == ("720h", "velero")


def test_an_empty_mover_is_no_mover():
    assert backup_command(backup_request(spec(datamover=""))).spec.datamover is None


@pytest.mark.parametrize(
    ("mover", "known", "refused"),
    [("", [], False), ("velero", [], False), ("kopia", [], False), ("ours", ["ours"], False), ("ours", ["theirs"], True)],
)
def test_a_mover_is_veleros_own_or_one_that_the_clusters_settings_name(mover, known, refused):
    errors = list(unknown_mover(mover, "eu1", known))
    assert [e["pointer"] for e in errors] == ["/spec/datamover"] * refused
    assert all("theirs" in e["detail"] for e in errors)


def test_a_mover_of_the_clusters_own_keeps_its_name():
    assert backup_command(backup_request(spec(datamover="ours"))).spec.datamover == "ours"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"cluster": "eu1", "spec": {"datamover": "ours"}}, ("eu1", "ours")),
        ({"cluster": "EU 1", "spec": {"datamover": 3}}, (None, None)),
        ({"cluster": 3, "spec": []}, (None, None)),
        ([], (None, None)),
    ],
)
def test_the_cluster_and_the_mover_are_judged_whatever_else_is_wrong(value, found):
    assert cluster_and_mover(value) == found


@pytest.mark.parametrize(("kind", "needed"), [("all", False), ("production", True), ("nonProduction", True)])
def test_an_environment_travels_with_the_selectors_that_say_what_it_is(kind, needed):
    request = backup_request(body(scope={"kind": kind, "excludedNamespaces": ["kube-*"]}))
    assert needs_environments(request) == needed
    selectors = Environments(production=LabelSelector(match_labels={"tier": "1"}))
    assert backup_command(request, selectors).environments == selectors
    assert backup_command(request).environments is None


def test_the_rules_of_a_part_hold_wherever_the_part_stands():
    with pytest.raises(InvalidRequestError) as caught:
        checked(ScopeRequest, b'{"scope": {"kind": "specific", "namespaces": ["a"], "excludedNamespaces": ["a"]}}')
    assert [e["pointer"] for e in caught.value.errors] == ["/scope/excludedNamespaces/0"]
    with pytest.raises(InvalidRequestError) as caught:
        checked(DeleteBackups, b'{"ids": ["a", "b", "a"], "deadline": "200h"}')
    assert {e["pointer"] for e in caught.value.errors} == {"/ids", "/deadline"}


def test_the_deadline_is_an_hour_unless_said_and_may_be_a_week():
    assert backup_request(body()).deadline == "1h"
    assert backup_request(body(deadline="7d")).deadline == "168h"


def test_every_rule_of_the_table_is_broken_by_some_case_above():
    broken = {rule for rule in SPEC_RULES for _, raw, _ in BAD if _breaks(rule, raw)}
    assert broken == set(SPEC_RULES)


def _breaks(rule, raw):
    try:
        parsed = json.loads(raw)
        return bool(list(rule(BackupSpec.model_validate(parsed["spec"]))))
    except (ValueError, TypeError, KeyError):
        return False


def filled(value, frame):
    """The frame with as many values in it as make a body of half a megabyte."""

    def raw(count):
        return json.dumps(frame([value(i) for i in range(count)]), separators=(",", ":")).encode()

    return raw(500_000 * 1000 // (len(raw(6000)) - len(raw(5000))))


def wanted(**facts):
    return lambda entries: {**GOOD, "spec": {name: make(entries) for name, make in facts.items()}}


def names(prefix):
    return lambda i: f"{prefix}{i:x}"


def always(value):
    return lambda _i: value


def halves(entries):
    middle = len(entries) // 2
    return {**GOOD, "spec": {"includedResources": entries[:middle], "excludedResources": entries[middle:]}}


HOSTILE = {
    "kinds in two long lists": lambda: filled(names("a"), halves),
    "the same kind in both": lambda: filled(always("a"), halves),
    "namespaces in two long lists": lambda: filled(
        names("a"),
        lambda n: {**GOOD, "scope": {"kind": "specific", "namespaces": n[::2], "excludedNamespaces": n[1::2]}},
    ),
    "as many errors as fit": lambda: filled(always(1), wanted(includedResources=list)),
    "as many errors as fit where no limit is": lambda: filled(always(1), wanted(orLabelSelectors=list)),
    "fields that there are not": lambda: filled(names("a"), lambda n: {**GOOD, **dict.fromkeys(n, 1)}),
    "labels that nobody may set": lambda: filled(names("velero.io/"), lambda n: {**GOOD, "labels": dict.fromkeys(n, "x")}),
    "hooks that are none": lambda: filled(
        always(1), lambda n: {**GOOD, "spec": {"hooks": {"resources": [{"pre": n[i::500]} for i in range(500)]}}}
    ),
    "one endless duration": lambda: body(spec={"ttl": "1ns" * 160_000}),
    "many long durations": lambda: filled(
        lambda i: {"exec": {"command": ["x"], "timeout": "1h" * 16 + f"{i}ns"}},
        lambda n: {**GOOD, "spec": {"ttl": "0", "hooks": {"resources": [{"name": "h", "pre": n}]}}},
    ),
    "ordered resources": lambda: filled(always(" ,"), lambda n: {**GOOD, "spec": {"orderedResources": {"a": "".join(n)}}}),
    "depth": lambda: b'{"a":' * 90_000,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_half_a_megabyte_of_ill_will_costs_less_than_a_second(hostile):
    raw = hostile()
    assert 400_000 < len(raw) <= 600_000
    begun = time.process_time()
    with pytest.raises((InvalidRequestError, NotJsonError)) as caught:
        backup_request(raw)
    answer = problem_of(caught.value).response()
    assert time.process_time() - begun < 1
    assert len(answer.body) < 64 * 1024


def test_an_answer_lists_a_hundred_errors_and_says_how_many_there_are():
    with pytest.raises(InvalidRequestError) as caught:
        backup_request(spec(includedResources=[1] * 250, ttl="0"))
    assert (len(caught.value.errors), caught.value.count) == (100, 250)
    document = problem_of(caught.value).document()
    assert len(document["errors"]) == 100
    assert document["detail"] == "250 things are wrong with the request. The first 100 are listed."


@pytest.mark.parametrize(
    ("facts", "pointer"),
    [
        (
            {"spec": {"excludedNamespaceScopedResources": [f"k{i}" for i in range(1001)]}},
            "/spec/excludedNamespaceScopedResources",
        ),
        ({"scope": {"kind": "specific", "namespaces": [f"n{i}" for i in range(1001)]}}, "/scope/namespaces"),
        ({"scope": {"kind": "all", "excludedNamespaces": [f"n{i}" for i in range(1001)]}}, "/scope/excludedNamespaces"),
        (
            {"spec": {"hooks": {"resources": [{"name": "h", "includedNamespaces": ["n"] * 1001}]}}},
            "/spec/hooks/resources/0/includedNamespaces",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_list_has_a_thousand_entries_at_most(facts, pointer):
    assert pointers(body(**facts)) == {pointer}
    fitting = json.loads(body(**facts), object_hook=lambda o: {k: v[:1000] if isinstance(v, list) else v for k, v in o.items()})
    assert backup_request(json.dumps(fitting).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(["kind", "spec", "ttl"]), inner, max_size=3)
    ),
    max_leaves=10,
)
FIELDS = st.sampled_from(["name", "cluster", "labels", "scope", "spec", "deadline", "other"])


@given(st.dictionaries(FIELDS, JSON))
def test_any_json_is_a_request_or_a_list_of_problems(value):
    try:
        raw = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    errors = [{"pointer": ""}]
    try:
        backup_request(raw)
    except InvalidRequestError as error:
        errors = error.errors
    assert errors
    assert all(e["pointer"] == "" or e["pointer"].startswith("/") for e in errors)


@given(st.binary())
def test_any_bytes_are_a_request_or_a_problem(raw):
    with pytest.raises((InvalidRequestError, NotJsonError)):
        backup_request(raw)


# ---------------------------------------------------------------------- clusters

PRODUCTION = {"matchLabels": {"env": "live"}}


def test_a_merge_patch_changes_what_it_names_and_null_takes_away():
    current = ClusterSettings(display_name="Europe", production_selector=LabelSelector.model_validate(PRODUCTION))
    patched = merged_settings(current, b'{"displayName": null, "productionSelector": {"matchLabels": {"tier": "1"}}}')
    assert patched.display_name is None
    assert patched.production_selector == LabelSelector(match_labels={"env": "live", "tier": "1"})


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        (b'{"id": "us1"}', "/id"),
        (b'{"displayName": ""}', "/displayName"),
        (b'{"productionSelector": {"matchLabels": null}}', "/productionSelector"),
        (b'{"dataMovers": ["a b"]}', "/dataMovers/0"),
        (b"[]", ""),
    ],
)
def test_a_merge_patch_is_refused_by_what_it_would_make(patch, pointer):
    current = ClusterSettings(production_selector=LabelSelector.model_validate(PRODUCTION))
    with pytest.raises(InvalidRequestError) as caught:
        merged_settings(current, patch)
    assert [error["pointer"] for error in caught.value.errors] == [pointer]


def test_a_cluster_needs_an_id_that_can_be_a_subject():
    with pytest.raises(InvalidRequestError) as caught:
        read(RegisterCluster, b'{"id": "eu 1"}')
    assert caught.value.errors[0]["pointer"] == "/id"
