"""What a restore would meet: every finding, and what does not make one."""

import inspect
from dataclasses import replace
from datetime import timedelta

import pytest

from services.gateway.restores import preflight
from services.gateway.restores.preflight import AGEING, Known, Running
from shared.contracts.artifacts import Trouble
from shared.contracts.events import KindInfo, Problem, Volume
from shared.contracts.findings import FindingCode, Severity
from shared.contracts.restorespec import RestoreSpec
from shared.contracts.surveys import BackupSurveyed, Held, NodePort, RestoreSeen
from shared.contracts.views import BackupDetail, ClusterItem, LocationItem, VeleroView
from tests.support.gateway import NOW, backup_item

PODS = Held(api_version="v1", kind="Pod", names=["shop/web-0", "shop/web-1", "cart/web"])
SERVICES = Held(api_version="v1", kind="Service", names=["shop/web", "cart/web"])
CLAIMS = Held(api_version="v1", kind="PersistentVolumeClaim", names=["shop/data"])
NODES = Held(api_version="v1", kind="Node", names=["node-1"])
NAMESPACES = Held(api_version="v1", kind="Namespace", names=["cart", "shop"])
HELD = [PODS, SERVICES, CLAIMS, NODES, NAMESPACES]
KINDS = [KindInfo(name="pods", group="", kind="Pod", namespaced=True, singular="pod", short_names=["po"])]
SNAPSHOT = Volume(namespace="shop", claim="data", method="NativeSnapshot", result="succeeded")
FILES = Volume(namespace="cart", claim="files", method="PodVolumeBackup", result="succeeded")
SPEC = {"provider": "aws", "objectStorage": {"bucket": "backups", "prefix": "eu1"}, "config": {"s3Url": "http://eu1"}}


def location(name="default", cluster="eu1", **facts):
    plain = {"provider": "aws", "bucket": "backups", "prefix": "eu1", "status": "Available", "spec": SPEC}
    return LocationItem(id=f"{cluster}-{name}", name=name, cluster=cluster, namespace="velero", **{**plain, **facts})


def backup(**facts):
    plain = {"name": "shop", "storage_location": "default"}
    more = {name: facts.pop(name) for name in ("resolved_namespaces", "volumes") if name in facts}
    return BackupDetail(**{**dict(backup_item("b1", **{**plain, **facts})), **more})


def cluster(**facts):
    return ClusterItem(**{"id": "eu1", "status": "Online", **facts})


def known(spec=None, **facts):
    plain = {
        "now": NOW,
        "name": "again",
        "target": "eu1",
        "spec": RestoreSpec.model_validate(spec or {}),
        "backup": backup(),
        "origin": location(),
        "cluster": cluster(),
        "namespaces": frozenset(),
        "kinds": KINDS,
    }
    return Known(**{**plain, **facts})


def surveyed(**facts):
    return BackupSurveyed(**{"held": HELD, "storage_classes": ["fast"], "node_ports": [], **facts})


def found(what):
    return {each.code: each for each in preflight.judge(what)}


def test_a_restore_that_meets_nothing_has_no_findings():
    assert found(known(surveyed=surveyed(), seen=RestoreSeen())) == {}
    assert not preflight.is_blocked([])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "Creating"}, "it is still being made"),
        ({"status": "Failed"}, "it has failed"),
        ({"status": "Expired"}, "it has expired"),
        ({"status": "Completed", "expires_at": NOW}, "it has expired"),
        ({"status": "Deleting"}, "it is being deleted"),
        ({"status": "Deleted"}, "it was deleted"),
        ({"present": False}, "cluster eu1 does not have it any more"),
    ],
)
def test_a_backup_that_cannot_be_restored_blocks(facts, words):
    told = found(known(backup=backup(**facts)))
    assert told["BackupNotRestorable"].message == f"Backup shop cannot be restored: {words}."
    assert preflight.is_blocked(told.values())


def test_a_backup_that_is_not_whole_or_near_its_end_is_a_warning():
    told = found(known(backup=backup(status="PartiallyFailed", errors=3, expires_at=NOW + AGEING - timedelta(seconds=1))))
    assert told["BackupPartial"].message == "Backup shop is not whole: 3 errors came up while it was made."
    assert told["BackupExpiresSoon"].message.startswith("Backup shop expires at 2026-03-01 17:59 UTC")
    assert "some errors" in found(known(backup=backup(status="PartiallyFailed")))["BackupPartial"].message
    assert found(known(backup=backup(expires_at=NOW + AGEING))) == {}


def test_a_location_that_is_not_there_or_not_available_blocks():
    assert found(known(origin=None))["LocationUnknown"].message.startswith("Cluster eu1 has no storage location default")
    told = found(known(origin=location(status="Unavailable", message="no such bucket")))["LocationUnavailable"]
    assert (told.severity, told.message.endswith("no such bucket")) == (Severity.BLOCKER, True)
    assert found(known(origin=location(status="Pending"))) == {}


def test_another_cluster_reaches_the_backup_through_what_it_has_or_what_is_made():
    there = {"target": "us1", "cluster": cluster(id="us1")}
    made = found(known(**there, origin=location(status="Unavailable")))
    assert made.keys() == {"MirrorNeeded", "CredentialMissing"}, "its own cluster may be gone: that is what restores are for"
    assert "aws backups/eu1" in made["MirrorNeeded"].message
    assert found(known(**there, credential=True)).keys() == {"MirrorNeeded"}
    away = {**SPEC, "provider": "velero.io/aws", "config": {"s3Url": "http://us1"}, "accessMode": "ReadOnly"}
    mine = [location("theirs", "us1", spec=away), location("other", "us1", spec={**SPEC, "objectStorage": {"bucket": "x"}})]
    told = found(known(**there, locations=mine))
    assert (told.keys(), "theirs" in told["MirrorFound"].message) == ({"MirrorFound"}, True)
    assert "has the same bucket and prefix (aws backups/eu1)" in told["MirrorFound"].message
    broken = [location("theirs", "us1", status="Unavailable", spec=away)]
    assert found(known(**there, locations=broken)).keys() == {"LocationUnavailable"}
    better = [*broken, location("second", "us1", spec=away)]
    assert "second" in found(known(**there, locations=better))["MirrorFound"].message
    assert found(known(**there, origin=None)).keys() == {"LocationUnknown"}


THERE = {"target": "us1", "cluster": cluster(id="us1")}
WRITTEN = {**SPEC, "config": {"s3Url": "http://us1"}}
READ = {**WRITTEN, "accessMode": "ReadOnly"}


@pytest.mark.parametrize("given", [{"credential": True}, {"storage": True}])
def test_where_a_request_says_the_way_a_mirror_is_made_as_the_executor_does(given):
    """None is waited for that Velero cannot use, and one that the target writes into may be another storage."""
    for mine in (location("theirs", "us1", status="Unavailable", spec=READ), location("own", "us1", spec=WRITTEN)):
        told = found(known(**THERE, **given, locations=[mine]))
        assert told.keys() - {"CredentialMissing"} == {"MirrorNeeded"}
        assert found(known(**THERE, locations=[mine])).keys() <= {"LocationUnavailable", "MirrorFound"}
    told = found(known(**THERE, **given, locations=[location("theirs", "us1", spec=READ)]))
    assert told.keys() == {"MirrorFound", "StorageNotUsed"}
    assert ("credential" in told["StorageNotUsed"].message) == ("credential" in given)


def test_two_storages_of_one_name_are_not_taken_for_each_other():
    for origin, mine in (({"shared_bucket": True}, {}), ({}, {"shared_bucket": True})):
        what = known(**THERE, origin=location(**origin), locations=[location("own", "us1", spec=WRITTEN, **mine)])
        assert found(what).keys() == {"MirrorNeeded", "CredentialMissing"}
        assert what.says_the_way, "the executor is told so, too"
        same = known(**THERE, origin=location(**origin), locations=[location("own", "us1", **mine)])
        assert found(same).keys() == {"MirrorFound"}


def test_files_that_the_bucket_has_lost_are_a_warning_and_nothing_else_is_said_of_them():
    lost = BackupSurveyed(held=[], truncated=True, trouble=Trouble.NOT_THERE, detail="Nothing of that kind is stored.")
    told = found(known(surveyed=lost))
    assert {code: each.severity for code, each in told.items()} == {"BackupFilesMissing": Severity.WARNING}
    assert "does not hold the files of backup shop (any more)" in told["BackupFilesMissing"].message
    silent = preflight.judge(known(surveyed=BackupSurveyed(truncated=True, trouble=Trouble.UNREACHABLE, detail="no answer.")))
    assert [each.message for each in silent] == ["Not everything could be looked at: no answer."]
    unread = preflight.judge(known(surveyed=BackupSurveyed(held=[], truncated=True)))
    assert [each.message.endswith("resources of the backup could not be read.") for each in unread] == [True]


def test_a_cluster_that_is_away_or_whose_velero_is_silent_is_a_warning():
    assert "since 2026-03-01" in found(known(cluster=cluster(status="Offline", last_seen_at=NOW)))["ClusterOffline"].message
    assert "since it was registered" in found(known(cluster=None))["ClusterOffline"].message
    silent = cluster(problems=[Problem(code="Odd", message="-"), Problem(code="VeleroNotAnswering", message="no answer.")])
    assert found(known(cluster=silent))["VeleroSilent"].message == "Velero of cluster eu1 does not answer: no answer."


def test_a_name_that_is_taken_blocks():
    assert found(known(name_taken=True))["NameTaken"].message == "Cluster eu1 already has a restore named again."


def test_namespaces_that_the_backup_does_not_hold_block():
    wanted = {"includedNamespaces": ["shop", "x"], "namespaceMapping": {"x": "z"}}
    by_row = found(known(wanted, backup=backup(resolved_namespaces=["shop", "cart"])))
    assert by_row["NamespaceNotInBackup"].objects == ["x"]
    by_survey = found(known(wanted, surveyed=surveyed(), seen=RestoreSeen()))
    assert by_survey["NamespaceNotInBackup"].objects == ["x"]
    for unknown in (
        {},
        {"backup": backup(resolved_namespaces=["sh*"])},
        {"surveyed": surveyed(truncated=True)},
        {"surveyed": surveyed(held=None)},
    ):
        assert "NamespaceNotInBackup" not in found(known(wanted, **unknown))


def test_namespaces_that_exist_are_named_as_they_are_in_the_target():
    there = {"namespaces": frozenset({"shop", "shop-old", "default"}), "backup": backup(resolved_namespaces=["shop", "cart"])}
    assert found(known(**there))["NamespaceExists"].objects == ["shop"]
    assert found(known({"namespaceMapping": {"shop": "shop-old"}}, **there))["NamespaceExists"].objects == ["shop-old"]
    assert found(known({"excludedNamespaces": ["shop"]}, **there)) == {}
    assert found(known({"includedNamespaces": ["cart"]}, **there)) == {}
    assert found(known(namespaces=frozenset({"shop"}))) == {}, "of which namespaces the backup is is not known"


def test_a_restore_that_runs_into_the_same_namespace_blocks():
    other = [Running("first", frozenset({"shop"})), Running("unknown", frozenset())]
    of = {"backup": backup(resolved_namespaces=["shop"]), "running": other}
    told = found(known(**of))["NamespaceBusy"]
    assert (told.objects, "Restore first still runs" in told.message) == (["shop"], True)
    assert found(known({"namespaceMapping": {"shop": "shop-old"}}, **of)) == {}


def test_objects_that_exist_are_counted_and_their_fate_is_told():
    seen = RestoreSeen(existing=[PODS, SERVICES])
    stays = found(known(surveyed=surveyed(), seen=seen))["ObjectsExist"]
    assert stays.message == "5 objects exist already in cluster eu1: they stay as they are."
    assert stays.objects[0] == "Pod shop/web-0"
    changed = found(known({"existingResourcePolicy": "update"}, surveyed=surveyed(), seen=seen))["ObjectsExist"]
    assert "they are changed to what the backup holds" in changed.message
    many = RestoreSeen(existing=[PODS.model_copy(update={"names": [f"shop/web-{n}" for n in range(50)]})])
    assert found(known(surveyed=surveyed(), seen=many))["ObjectsExist"].objects[-1] == "and 30 more"


def test_what_the_target_lacks_is_named():
    seen = RestoreSeen(unserved=["example.com/v1 Widget"], missing_storage_classes=["fast"], modifier_found=False)
    told = found(known({"resourceModifier": {"name": "rules"}}, surveyed=surveyed(), seen=seen))
    assert told["KindsNotServed"].objects == ["example.com/v1 Widget"]
    assert told["StorageClassesMissing"].objects == ["fast"]
    assert told["ModifiersUnknown"].message == "Velero's namespace in cluster eu1 has no ConfigMap rules."
    assert told["ModifiersUnknown"].severity is Severity.BLOCKER


def test_node_ports_are_kept_or_change():
    ports = [NodePort(service="shop/web", port=30080), NodePort(service="elsewhere/web", port=30081)]
    survey = surveyed(node_ports=ports)
    assert found(known(surveyed=survey, seen=RestoreSeen()))["NodePortsChange"].objects == ["shop/web"]
    keeping = {"preserveNodePorts": True}
    assert found(known(keeping, surveyed=survey, seen=RestoreSeen())) == {}
    taken = RestoreSeen(taken_node_ports=[ports[0]])
    assert found(known(keeping, surveyed=survey, seen=taken))["NodePortsTaken"].objects == ["30080 (shop/web)"]
    assert found(known({"excludedResources": ["services"]}, surveyed=survey, seen=RestoreSeen())) == {}


def test_volumes_that_stay_where_they_were_taken_are_named_for_another_cluster():
    there = {"target": "us1", "cluster": cluster(id="us1"), "credential": True, "backup": backup(volumes=[SNAPSHOT, FILES])}
    assert found(known(**there))["VolumesStay"].objects == ["shop/data"]
    assert found(known({"restorePVs": False}, **there)).keys() == {"MirrorNeeded"}
    assert found(known({"includedNamespaces": ["cart"]}, **there)).keys() == {"MirrorNeeded"}
    assert found(known(backup=there["backup"])) == {}


def test_files_of_volumes_need_a_node_agent():
    without, maybe = (cluster(velero=VeleroView(node_agent=has)) for has in (False, None))
    of = backup(volumes=[SNAPSHOT, FILES])
    assert found(known(backup=of, cluster=without))["NodeAgentMissing"].objects == ["cart/files"]
    assert found(known(backup=of, cluster=maybe)) == {}


def test_nothing_that_matches_blocks_where_it_is_certain():
    nothing = {"includedResources": ["configmaps"]}
    assert found(known(nothing, surveyed=surveyed()))["NothingMatches"].severity is Severity.BLOCKER
    for unsure in ({"kinds": []}, {"surveyed": surveyed(truncated=True)}, {"surveyed": surveyed(held=None)}):
        assert "NothingMatches" not in found(known(nothing, **{"surveyed": surveyed(), **unsure}))
    assert found(known({"includedResources": ["pods"]}, surveyed=surveyed())) == {}
    assert found(known({"includedResources": ["nodes"]}, surveyed=surveyed())).keys() == {"NothingMatches"}


def test_what_could_not_be_looked_at_is_said():
    facts = {
        "doubts": ["the executor of cluster eu1 is not running."],
        "surveyed": surveyed(truncated=True, storage_classes=None, detail="the tarball is too large."),
        "seen": RestoreSeen(unseen=["apps/v1 Deployment"], detail="two kinds took too long."),
    }
    spec = {"labelSelector": {"matchLabels": {"a": "b"}}}
    findings = preflight.judge(known(spec, **facts))
    assert {each.code for each in findings} == {"NotKnown"}
    assert len(findings) == 6
    assert ["apps/v1 Deployment"] in [each.objects for each in findings]
    assert found(known(surveyed=BackupSurveyed()))["NotKnown"].message.endswith("resources of the backup could not be read.")


def test_the_gravest_comes_first():
    findings = preflight.judge(known(doubts=["x."], name_taken=True, cluster=None))
    assert [each.severity for each in findings] == [Severity.BLOCKER, Severity.WARNING, Severity.INFO]


def test_every_finding_can_be_met():
    source = inspect.getsource(preflight)
    assert [code.name for code in FindingCode if f"FindingCode.{code.name}" not in source] == []


# ---------------------------------------------------------------------- what the target is asked


def test_the_target_is_asked_by_the_names_that_things_will_have_there():
    spec = {"namespaceMapping": {"shop": "shop-old"}, "preserveNodePorts": True}
    ports = [NodePort(service="shop/web", port=30080)]
    look, left = preflight.question(known(spec, surveyed=surveyed(node_ports=ports)), modifier="rules")
    assert [each.kind for each in look.held] == ["Pod", "Service", "PersistentVolumeClaim"]
    assert look.held[0].names == ["shop-old/web-0", "shop-old/web-1", "cart/web"]
    assert (look.storage_classes, look.modifier, left) == (["fast"], "rules", "")
    assert look.node_ports == [NodePort(service="shop-old/web", port=30080)]
    without, _ = preflight.question(
        known({"excludedResources": ["pvc", "persistentvolumeclaims"]}, surveyed=surveyed()), modifier=None
    )
    assert (without.storage_classes, without.node_ports) == ([], [])


def test_a_question_that_would_be_too_long_says_what_it_leaves_out():
    many = PODS.model_copy(update={"names": [f"shop/web-{n:0100}" for n in range(8000)]})
    look, left = preflight.question(known(surveyed=surveyed(held=[many])), modifier=None)
    asked = len(look.held[0].names)
    assert 3000 < asked < 4000
    assert left == f"{8000 - asked} of the objects of the backup were not looked for."
    assert len(look.model_dump_json()) < 512 * 1024


def test_where_a_restore_goes_is_known_as_far_as_the_backup_is():
    spec = RestoreSpec.model_validate({"namespaceMapping": {"a": "z"}, "excludedNamespaces": ["b"]})
    assert preflight.targets(spec, frozenset({"a", "b", "c"})) == {"z", "c"}
    assert preflight.targets(spec, None) == frozenset()
    assert preflight.targets(RestoreSpec.model_validate({"includedNamespaces": ["a"]}), None) == {"a"}
    assert preflight.namespaces_of(backup(resolved_namespaces=None)) is None
    assert replace(known(), target="us1").crosses
