"""What the list of a backup's resources says, and what its claims and Services do."""

import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from services.executor.artifacts.studies import counts
from services.executor.artifacts.unpacking import Unpacked
from services.executor.restores.surveying import MOST_BYTES, held, node_ports, storage_classes
from shared.contracts.events import RestoreCounts
from shared.contracts.surveys import Held, NodePort

JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def listed(value, most=10_000_000):
    found = Unpacked(most)
    data = gzip.compress(json.dumps(value).encode())
    found.feed(data, len(data))
    return found


def test_objects_are_told_by_version_and_kind():
    names, whole = held(listed({"v1/Pod": ["shop/web"], "apps/v1/Deployment": ["shop/web", "shop/db"], "v1/Namespace": []}))
    assert whole
    assert names == [
        Held(api_version="apps/v1", kind="Deployment", names=["shop/web", "shop/db"]),
        Held(api_version="v1", kind="Pod", names=["shop/web"]),
    ]


def test_too_many_are_cut_and_that_is_told():
    many = {"v1/Pod": [f"shop/{'x' * 200}{n}" for n in range(5000)], "v1/Secret": ["a/b"]}
    names, whole = held(listed(many))
    assert not whole
    assert len(json.dumps([each.wire() for each in names])) < MOST_BYTES * 1.3
    names, whole = held(listed({"v1/Pod": [f"shop/p{n}" for n in range(1000)]}, most=500))
    assert (whole, names[0].names[:2]) == (False, ["shop/p0", "shop/p1"])
    assert held(Unpacked(10)) == ([], False)


@given(JSON)
def test_whatever_stands_there_breaks_nothing(value):
    held(listed(value))
    list(storage_classes(value if isinstance(value, dict) else {}))
    list(node_ports("a/b", value if isinstance(value, dict) else {}))
    list(node_ports("a/b", {"spec": value}))
    list(storage_classes({"spec": value, "metadata": {"annotations": {}}}))


def test_classes_and_ports():
    assert list(storage_classes({"spec": {"storageClassName": "fast"}})) == ["fast"]
    old = {"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}}, "spec": {}}
    assert list(storage_classes(old)) == ["old"]
    assert list(storage_classes({"spec": {}})) == []
    service = {"spec": {"ports": [{"port": 80, "nodePort": 30080}, {"port": 81}], "healthCheckNodePort": 30090}}
    assert list(node_ports("shop/web", service)) == [NodePort(service="shop/web", port=n) for n in (30080, 30090)]


def test_what_became_of_objects_is_counted():
    found = {"v1/Pod": ["shop/a(created)", "shop/b(created)", "shop/c(skipped)"], "v1/Secret": ["shop/x(failed)"]}
    assert counts(listed(found)) == RestoreCounts(created=2, updated=0, skipped=1, failed=1)
    assert counts(listed({})) == RestoreCounts(created=0, updated=0, skipped=0, failed=0)
    assert counts(listed(found, most=20)) == RestoreCounts(), "not all of it is known"
    assert counts(Unpacked(10)) == RestoreCounts()
