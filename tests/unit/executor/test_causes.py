"""Why a backup failed: texts of Velero's results become few reasons, each counted, with one thing that it hit."""

import json
import string
from time import process_time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.artifacts.causes import MOST, Failure, causes, failure, failures, general, mended, read_results

NAMES = st.text(string.ascii_lowercase + string.digits, min_size=3, max_size=20).filter(lambda n: not n.isdigit())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FAILURES = st.lists(
    st.builds(Failure, st.sampled_from(["a b", "c d", "e f"]), st.none() | NAMES, st.none() | st.sampled_from(["shop", "cart"]))
)


def entry(name, message="Error backing up item", error="daemonset pod not found in running state in node ghost"):
    return f" resource: /pods name: /{name} message: /{message} error: /{error}"


def test_ten_thousand_errors_of_one_kind_are_one_line():
    results = {"errors": {"namespaces": {"shop": [entry(f"web-{n}") for n in range(10_000)]}}, "warnings": {}}
    (cause,), more = causes(failures(results))
    assert cause.message == "daemonset pod not found in running state in node ghost"
    assert (cause.count, cause.example, cause.namespace, more) == (10_000, "pods/web-0", "shop", False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('pods "web-0" not found', 'pods "api" not found'),
        ("volume 3f8a2c1e-0d4b-4b6a-9c55-0a1b2c3d4e5f is busy", "volume 11111111-2222-3333-4444-555555555555 is busy"),
        ("dial tcp 10.0.0.1:443: refused", "dial tcp 192.168.7.12:6443: refused"),
        ("timed out after 17 of 30 items", "timed out after 2,504 of 9 items"),
        ("pod web-7d9f6c5b4-x2x9z is gone", "pod api-5c4b3a2d1-aaaa9 is gone"),
        ("snapshot deadbeef0123 failed", "snapshot 0123456789ab failed"),
    ],
)
def test_what_differs_from_object_to_object_is_left_out(one, other):
    assert general(one) == general(other) != general("something else")


def test_a_text_of_any_length_is_read_in_no_time_and_said_in_few_words():
    begun = process_time()
    odd = failure("message: /" + " " * 30_000 + "x")
    assert process_time() - begun < 2
    assert odd.reason == " " * 30_000 + "x"
    long = {"n" * 2000: [f"namespace: /{'x' * 100_000} name: /{'y' * 100_000} error: /no"]}
    (cause,), _ = causes(failures({"errors": {"namespaces": long}}))
    assert len(cause.model_dump_json()) < 2000


def test_codes_are_reasons_and_stay():
    assert general("exit code 137") == "exit code 137" != general("exit code 1")
    assert general("server answered HTTP 403") != general("server answered HTTP 500")


def test_the_query_of_an_address_is_never_repeated():
    text = general('Get "https://s3.example/b/k?X-Amz-Signature=abc&X-Amz-Credential=AKIA": refused')
    assert "X-Amz" not in text
    assert "refused" in text


def test_the_name_of_the_object_is_no_part_of_the_reason_and_is_its_example():
    found = [failure(entry(name, error=f"pod {name} does not have a host assigned"), "shop") for name in ("zebra", "apple")]
    (cause,), _ = causes(found)
    assert (cause.message, cause.example, cause.count) == ("pod … does not have a host assigned", "pods/apple", 2)


def test_one_error_that_is_told_by_several_is_one_reason_with_what_was_being_done():
    pod = "web-5fd9c58f7-jjz9f"  # as Velero 1.18.3 writes it
    found = [
        failure(f" message: /Error executing hook error: /pod {pod} does not have a host assigned"),
        failure(f" name: /{pod} message: /Error running pre hooks for pod error: /pod {pod} does not have a host assigned"),
    ]
    (cause,), _ = causes(found)
    assert (cause.count, cause.example) == (2, f"pods/{pod}")
    assert cause.message == "Error running pre hooks for pod: pod … does not have a host assigned"


@pytest.mark.parametrize(
    ("words", "example"),
    [
        ("pod web-5fd9c58f7-jjz9f does not have a host assigned", "pods/web-5fd9c58f7-jjz9f"),
        ('pods "ghost" not found', "pods/ghost"),
        ('persistentvolumeclaims "data-db-0" not found', "persistentvolumeclaims/data-db-0"),
        ('volumesnapshotclasses.snapshot.storage.k8s.io "fast" not found', "volumesnapshotclasses/fast"),
        ("the server is not ready", None),
    ],
)
def test_an_object_that_stands_in_the_words_only_is_the_example_all_the_same(words, example):
    (cause,), _ = causes([failure(f" message: /Error executing hook error: /{words}")])
    assert cause.example == example


def test_a_text_without_an_error_is_the_reason_itself():
    assert failure("just words").reason == "just words"
    assert failure(" name: /x message: /It went wrong").reason == "It went wrong"


def test_the_namespace_is_named_if_there_is_one():
    errors = {"velero": ["a"], "cluster": ["b"], "namespaces": {"shop": ["c", "d"], "cart": ["d"]}}
    found, _ = causes(failures({"errors": errors}))
    assert {c.message: (c.count, c.namespace) for c in found} == {
        "d": (2, None), "a": (1, None), "b": (1, None), "c": (1, "shop")
    }  # fmt: skip


@pytest.mark.parametrize(
    "odd", [None, [], "x", {}, {"errors": []}, {"errors": {"namespaces": [1], "velero": "x", "cluster": [1]}}]
)
def test_results_of_another_form_say_nothing(odd):
    assert list(failures(odd)) == []


@given(FAILURES)
def test_every_failure_is_counted_once_whatever_their_order(found):
    grouped, more = causes(found)
    assert sum(c.count for c in grouped) == len(found)
    assert (grouped, more) == causes(list(reversed(found)))
    assert grouped == sorted(grouped, key=lambda c: (-c.count, c.message))


def test_the_most_frequent_are_shown_and_it_is_said_that_there_are_more():
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(MOST + 5)]
    found = [Failure(f"reason {word}") for n, word in enumerate(words) for _ in range(n + 1)]
    grouped, more = causes(found)
    assert (len(grouped), more, grouped[0].count) == (MOST, True, MOST + 5)


@given(TEXTS, st.lists(NAMES, max_size=2))
def test_a_reason_is_never_empty_nor_long_and_general_already(text, names):
    once = general(text, *names)
    assert 0 < len(once) <= 500
    assert general(once) == once


@given(NAMES, NAMES, st.uuids(), st.uuids(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_reasons_that_differ_in_names_and_numbers_alone_are_one(one: str, other: str, u: UUID, v: UUID, n: int, m: int):
    def text(name, uid, number):
        return f'backing up {name}: volume {uid} of "{name}": {number} files left'

    assert general(text(one, u, n), one) == general(text(other, v, m), other)


@given(
    st.dictionaries(st.sampled_from(["velero", "cluster"]), st.lists(TEXTS, max_size=3)),
    st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3), max_size=3),
    st.floats(0, 1),
)
def test_results_cut_anywhere_are_read_as_far_as_they_go(own, spaces, share):
    whole = {"errors": {**own, "namespaces": spaces}, "warnings": {"velero": ["w"]}}
    text = json.dumps(whole)
    found = read_results(text[: int(len(text) * share)].encode(), cut=True)
    everything = list(failures(whole))
    assert all(each in everything for each in failures(found))
    assert list(failures(json.loads(mended(text)))) == everything


def test_what_was_whole_before_the_cut_is_kept():
    text = json.dumps({"errors": {"namespaces": {"a": ["one", 'tw"o', "three [x"]}}})
    assert json.loads(mended(text[:-8])) == {"errors": {"namespaces": {"a": ["one", 'tw"o']}}}
