import pytest

from services.gateway.backups.deleting import objection
from tests.support.gateway import backup_item


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"status": "Completed", "phase": "Completed"}, None),
        ({"status": "Failed", "phase": "FailedValidation"}, None),
        ({"status": "Expired", "phase": "Completed"}, None),
        ({"status": "Expired", "phase": "Completed", "present": False}, "BackupGone"),
        ({"status": "Deleted", "phase": "Deleting", "present": False}, "BackupGone"),
        ({"status": "Deleted", "phase": "Completed", "present": True}, "BackupGone"),
        ({"status": "Refused", "present": False}, "BackupGone"),
        ({"status": "Failed", "present": False}, "BackupGone"),
        ({"status": "Deleting", "phase": "Deleting"}, None),
        ({"status": "Creating", "present": False}, "BackupNotEnded"),
        ({"status": "Creating", "phase": None, "present": True}, None),
        ({"status": "Creating", "phase": "Queued"}, None),
        ({"status": "Creating", "phase": "InProgress"}, "BackupNotEnded"),
        ({"status": "Creating", "phase": "WaitingForPluginOperationsPartiallyFailed"}, "BackupNotEnded"),
        ({"status": "Creating", "phase": "FinalizingPartiallyFailed"}, "BackupNotEnded"),
        ({"status": "Creating", "phase": "SomethingNew"}, None),
        ({"status": "Completed", "phase": "Completed", "present": False}, None),
        ({"status": "Completed", "phase": "Completed", "replica": True}, "BackupIsReplica"),
        ({"status": "Deleted", "phase": "Completed", "replica": True, "present": False}, "BackupGone"),
    ],
    ids=str,
)
def test_only_what_the_row_knows_for_sure_speaks_against_a_deletion(facts, code):
    no = objection(backup_item("b", **facts), "us1")
    assert (no and no.code) == code
    if no:
        assert (no.status, no.pointer) == (409, "")
        assert "b" in no.detail


def test_a_copy_names_the_cluster_where_it_can_be_deleted_if_that_is_known():
    copy = backup_item("b", replica=True)
    assert "cluster us1: delete it there" in objection(copy, "us1").detail
    assert "made elsewhere: delete it there" in objection(copy).detail
