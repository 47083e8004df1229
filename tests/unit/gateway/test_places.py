"""Which locations write into the same place, in any spelling of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.locations.places import counted, shared, writers
from shared.contracts.locationspec import place_of
from shared.contracts.phases import LocationStatus
from shared.contracts.views import LocationItem


def spec(bucket: str = "velero", prefix: str | None = None, provider: str = "aws", **facts: Any) -> dict[str, Any]:
    return {"provider": provider, "objectStorage": {"bucket": bucket, "prefix": prefix}, **facts}


def item(cluster: str, name: str, shown: dict[str, Any], **facts: Any) -> LocationItem:
    plain = {"id": f"{cluster}/{name}", "namespace": "velero", "status": LocationStatus.AVAILABLE, "spec": shown}
    return LocationItem(cluster=cluster, name=name, **{**plain, **facts})


def found(wanted: dict[str, Any], *known: LocationItem, before: dict[str, Any] | None = None) -> list[str]:
    return [f"{other.cluster}/{other.name}" for other in writers(wanted, "eu1", "main", known, before)]


SAME = [
    (spec(), spec()),
    (spec(), spec(provider="velero.io/aws")),
    (spec(prefix=""), spec(prefix="/")),
    (spec(prefix="/a/b"), spec(prefix="a/b/")),
    (spec(), spec(config={"s3Url": "http://elsewhere"})),
    (spec(), spec(accessMode="")),
    (spec(provider="a/b"), spec(provider="a/b")),
    (spec(provider="disks"), spec(provider="velero.io/disks")),
]
APART = [
    (spec(), spec("other")),
    (spec(), spec(prefix="a")),
    (spec(), spec(provider="gcp")),
    (spec(), spec(accessMode="ReadOnly")),
    (spec(accessMode="ReadOnly"), spec()),
    (spec(provider="a/b"), spec(provider="b")),
    (spec(provider="azure", config={"storageAccount": "a"}), spec(provider="azure", config={"storageAccount": "b"})),
]


@pytest.mark.parametrize(("wanted", "there"), SAME)
def test_two_that_write_into_one_place_are_found_whoever_made_them(wanted: dict[str, Any], there: dict[str, Any]) -> None:
    assert found(wanted, item("us1", "default", there), item("eu1", "other", there)) == ["us1/default", "eu1/other"]


@pytest.mark.parametrize(("wanted", "there"), APART)
def test_two_that_do_not_are_not(wanted: dict[str, Any], there: dict[str, Any]) -> None:
    assert found(wanted, item("us1", "default", there)) == []


def test_a_location_is_not_beside_itself_nor_beside_one_that_has_gone() -> None:
    assert found(spec(), item("eu1", "main", spec()), item("us1", "x", spec(), status=LocationStatus.DELETED)) == []


def test_a_change_that_does_not_bring_two_together_is_let_be() -> None:
    other = item("us1", "default", spec())
    assert found(spec(), other, before=spec(prefix="/")) == []
    assert found(spec(), other, before=spec("else")) == ["us1/default"]
    assert found(spec(), other, before=spec(accessMode="ReadOnly")) == ["us1/default"]


def test_the_words_name_the_first_and_count_the_rest() -> None:
    others = [item("us1", "b", spec()), item("us1", "a", spec()), item("zz", "c", spec())]
    assert shared(others).detail.startswith("Storage location a of cluster us1 (and 2 more) writes into the same bucket")
    assert shared(others[:1]).pointer == "/spec/objectStorage"
    assert counted("schedule", ["b"]) == "1 schedule (b)"
    assert counted("backup", ["c", "b", "a"], 1200) == "1200 backups (a, b, c, …)"


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=3) | st.lists(st.none())))
def test_a_spec_of_any_shape_has_a_place(shown: dict[str, Any]) -> None:
    assert place_of({**shown, "objectStorage": shown}) == place_of({**shown, "objectStorage": shown})
