"""The index of the pages of snapshots serves the question that is asked of it most."""

from services.status.memory.indexes import INDEXES, PAGES
from services.status.memory.store import pages_without
from services.status.objects import record
from tests.support.messages import NOW
from tests.support.status_messages import backup


def test_what_should_have_named_an_object_is_found_in_ranges_of_the_index():
    index = next(index.keys for index in INDEXES if index.collection == PAGES)
    for branch in pages_without(record("eu1", "backup", backup(), NOW))["$or"]:
        used = [key for key in index if key in branch]
        equal = [key for key in used if not isinstance(branch[key], dict)]
        assert used[: len(equal)] == equal == list(index[: len(equal)])
        assert index[len(equal)] in branch  # and then comes a range
    assert branch["epoch"] == {"$gt": 1}
    assert pages_without(record("eu1", "backup", backup(rv=7), NOW))["$or"][0]["listRv"] == {"$gte": 7}
