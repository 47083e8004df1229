"""A backup in full: why first, whatever has been found out, and however much of it there is."""

import io

import pytest
from rich.console import Console

from leeward.backups import telling as detail
from leeward.output import Format, Output

CAUSE = "failed to get volumesnapshotclass for storageclass …: no class found"


def backup(**facts):
    plain = {
        "id": "b1",
        "name": "shop",
        "cluster": "eu1",
        "createdBy": {"kind": "User", "name": "anna"},
        "status": "PartiallyFailed",
        "outcome": "PartiallyFailed",
        "size": {"metadataBytes": 2048, "volumeBytes": None, "totalBytes": None},
        "scope": {"kind": "production", "excludedNamespaces": ["legacy-*"]},
        "resolvedNamespaces": ["cart", "shop"],
        "spec": {"includedResources": ["pods"], "excludedResources": ["secrets"], "ttl": "720h0m0s", "newField": 7},
        "transitions": [],
    }
    return {**plain, **facts}


def shown(item, width=200):
    consoles = [Console(file=io.StringIO(), width=width, soft_wrap=True) for _ in range(2)]
    detail.show(Output(Format.TABLE, *consoles), item)
    return consoles[0].file.getvalue()


def test_status_and_why_come_before_what_it_is_of():
    causes = [{"message": CAUSE, "count": 11, "example": "persistentvolumeclaims/data-0", "namespace": "shop"}]
    text = shown(backup(why=causes))
    assert f"11 x {CAUSE}\n" in text
    assert "such as persistentvolumeclaims/data-0 in namespace shop" in text
    places = [text.index(word) for word in ("Status:", "Why:", "Asked For:", "Spec:")]
    assert places == sorted(places)


def test_scope_and_spec_are_told_in_words_and_what_is_new_in_velero_is_not_lost():
    text = shown(backup())
    assert "Asked For:  all production namespaces without legacy-*\n" in text
    assert "Namespaces: cart, shop\n" in text
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {"Resources: pods without secrets", "Cluster Resources: auto", "TTL: 720h0m0s", "newField: 7"} <= lines


def test_a_backup_made_past_leeward_tells_its_namespaces_by_its_spec():
    text = shown(backup(scope=None, resolvedNamespaces=None, spec={"includedNamespaces": ["*"], "excludedNamespaces": ["x"]}))
    assert "Asked For" not in text
    assert "Namespaces: all without x\n" in text


def test_a_size_that_is_not_known_is_no_zero():
    assert "Size: not known (objects 2.0 KiB, volumes not known)" in " ".join(shown(backup()).split())
    assert "Size:" not in shown(backup(size={}))


def test_volumes_are_a_table_and_their_messages_stand_below():
    volumes = [
        {"namespace": "shop", "claim": "data-0", "method": "CSISnapshot", "result": "succeeded", "sizeBytes": 3 * 2**30},
        {"namespace": "shop", "claim": "data-1", "method": "CSISnapshot", "result": "failed", "message": "no class found"},
    ]
    lines = shown(backup(volumes=volumes)).splitlines()
    begin = lines.index("Volumes:")
    assert [line.split() for line in lines[begin + 1 : begin + 4]] == [
        ["Claim", "Volume", "Method", "Result", "Size", "New", "Data"],
        ["shop/data-0", "—", "CSISnapshot", "succeeded", "3.0", "GiB", "—"],
        ["shop/data-1", "—", "CSISnapshot", "failed", "—", "—"],
    ]
    assert lines[begin + 4] == "  shop/data-1: no class found"
    assert "Volumes: none" in shown(backup(volumes=[]))
    assert "\nVolumes:" not in shown(backup(volumes=None))


def test_a_deletion_that_failed_and_notices_are_told():
    notice = {"code": "X", "pointer": "/spec/defaultVolumesToFsBackup", "detail": "No node agent runs."}
    text = shown(backup(notices=[notice], deletion={"operationId": "o", "by": "anna", "errors": ["snapshot snap-1: denied"]}))
    assert "--default-volumes-to-fs-backup: No node agent runs." in text
    assert "Asked By: anna\n  Errors:   snapshot snap-1: denied\n" in text


def test_however_much_is_wrong_it_stays_readable():
    text = shown(backup(validationErrors=[f"error {n}" for n in range(10_000)], failureReason="x" * 2**20))
    assert len(text) < 10_000
    assert "(9,981 more: -o json)" in text
    assert "-o json has all of it" in text


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal(width):
    causes = [{"message": f"{CAUSE} " * 5, "count": 11, "example": "pods/x", "namespace": "shop"}]
    volumes = [{"namespace": "shop", "claim": "data-0", "volume": f"pvc-{'0' * 40}", "message": "no class found " * 20}]
    text = shown(backup(why=causes, volumes=volumes), width)
    assert max(map(len, text.splitlines())) <= width


def test_what_comes_from_a_cluster_cannot_move_the_cursor():
    evil = "\x1b[2J\r"
    volume = {"namespace": evil, "claim": evil, "method": evil, "message": evil}
    item = backup(reason=evil, spec={"ttl": evil, evil: evil}, volumes=[volume], labels={evil: evil}, why=[{"message": evil}])
    assert not set(shown(item)) & {"\x1b", "\r"}


def test_a_reason_that_was_shortened_is_not_told_beside_the_whole_of_it():
    text = shown(backup(reason="backup execution failed: error che…", failureReason="backup execution failed: error checking"))
    assert text.count("backup execution failed") == 1
    assert "error checking\n" in text
