"""What holds after any sequence of writes: a watch tells the whole truth."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ApiError
from simulator.store import Store

NAMESPACES = st.sampled_from(["n1", "n2"])
NAMES = st.sampled_from(["a", "b", "c"])
TIERS = st.sampled_from([None, "gold", "lead"])
FINALIZERS = st.sampled_from([None, ["x.io/hold"]])
PHASES = st.sampled_from(["New", "InProgress", "Completed"])

OPERATION = st.one_of(
    st.tuples(st.just("create"), NAMESPACES, NAMES, TIERS, FINALIZERS),
    st.tuples(st.just("label"), NAMESPACES, NAMES, TIERS),
    st.tuples(st.just("phase"), NAMESPACES, NAMES, PHASES),
    st.tuples(st.just("finalize"), NAMESPACES, NAMES, FINALIZERS),
    st.tuples(st.just("delete"), NAMESPACES, NAMES),
    st.tuples(st.just("empty"), NAMESPACES),
)
SELECTORS = st.sampled_from(["", "tier=gold", "tier", "!tier", "tier notin (gold)"])


def perform(store: Store, operation: tuple) -> None:
    """Write, or be refused: both are fine here."""
    what, namespace, *rest = operation
    with contextlib.suppress(ApiError):
        match what, rest:
            case "create", [name, tier, finalizers]:
                metadata = {"name": name, "labels": {"tier": tier} if tier else {}, "finalizers": finalizers}
                store.create("backups", {"metadata": metadata}, namespace)
            case "label", [name, tier]:
                store.patch("backups", name, {"metadata": {"labels": {"tier": tier}}}, namespace)
            case "phase", [name, phase]:
                store.patch("backups", name, {"status": {"phase": phase}}, namespace)
            case "finalize", [name, finalizers]:
                store.patch("backups", name, {"metadata": {"finalizers": finalizers}}, namespace)
            case "delete", [name]:
                store.delete("backups", name, namespace)
            case "empty", []:
                store.delete("namespaces", namespace)
                store.create("namespaces", {"metadata": {"name": namespace}})


def replay(events, known=()) -> dict:
    """Fold watch events into what a client believes to exist; refuse what a client could not make sense of."""
    objects = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in known}
    for event in events:
        metadata = event.object["metadata"]
        key = metadata["namespace"], metadata["name"]
        assert (event.type == "ADDED") == (key not in objects)
        if event.type == "DELETED":
            del objects[key]
        else:
            objects[key] = event.object
    return objects


def listed(store: Store, **selection) -> dict:
    return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in store.list("backups", **selection)}


def new_store() -> Store:
    store = Store()
    for name in ("n1", "n2"):
        store.create("namespaces", {"metadata": {"name": name}})
    return store


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATION, max_size=25), SELECTORS, st.sampled_from(["", "n1"]))
def test_the_watch_from_the_beginning_folds_into_the_list(operations, labels, namespace):
    store = new_store()
    for operation in operations:
        perform(store, operation)
    selection = {"namespace": namespace, "labels": labels}
    assert replay(store.watch("backups", since=0, **selection).take()) == listed(store, **selection)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATION, max_size=15), st.lists(OPERATION, max_size=15), SELECTORS)
def test_a_list_and_the_watch_from_its_version_fold_into_the_next_list(before, after, labels):
    store = new_store()
    for operation in before:
        perform(store, operation)
    page = store.page("backups", labels=labels)
    open_watch = store.watch("backups", labels=labels, since=page.revision)
    for operation in after:
        perform(store, operation)
    late_watch = store.watch("backups", labels=labels, since=page.revision)
    events = open_watch.take()
    assert events == late_watch.take()
    assert replay(events, page.items) == listed(store, labels=labels)
    revisions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
    assert revisions == sorted(set(revisions))


@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATION, max_size=15), st.lists(OPERATION, max_size=15))
def test_an_earlier_version_can_be_listed_again(before, after):
    store = new_store()
    for operation in before:
        perform(store, operation)
    then = store.page("backups")
    for operation in after:
        perform(store, operation)
    assert store.page("backups", revision=then.revision).items == then.items
