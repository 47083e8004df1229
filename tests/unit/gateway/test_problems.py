import json

import pytest
from starlette.requests import Request

from services.gateway.submitting import idempotency_key, preference
from services.gateway.web.problems import PROBLEMS, ProblemError, page
from shared.contracts.refusals import RULES


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_kind_has_a_page_of_words_and_the_status_that_it_is_sent_with(slug):
    kind = PROBLEMS[slug]
    sent = ProblemError(slug, "why").response()
    document = json.loads(sent.body)
    assert (sent.status_code, sent.media_type) == (kind.status, "application/problem+json")
    assert document == {"type": f"/problems/{slug}", "title": kind.title, "status": kind.status, "detail": "why"}
    assert kind.title in page(slug).body.decode()


def test_there_is_no_page_for_another_slug():
    assert page("<script>") is None


def test_a_status_of_a_refusal_stands_in_the_answer_and_in_the_document():
    sent = ProblemError("refused", "why", status=409, operationId="op").response()
    assert (sent.status_code, json.loads(sent.body)["status"], json.loads(sent.body)["operationId"]) == (409, 409, "op")


def test_half_a_surrogate_in_a_detail_does_not_break_the_answer():
    assert json.loads(ProblemError("not-found", "a\ud800b").response().body)["detail"] == "a?b"


def test_refusals_come_as_conflicts_as_overtaken_or_as_requests_that_cannot_be_followed():
    assert {rule.status for rule in RULES.values()} == {409, 412, 422}


def request_with(**headers):
    raw = [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw})


@pytest.mark.parametrize(
    ("prefer", "seconds", "applied"),
    [
        (None, 5, None),
        ("respond-async", 0, "respond-async"),
        ("Respond-Async", 0, "respond-async"),
        ("wait=10", 10, "wait=10"),
        ("wait=0", 0, "wait=0"),
        ("wait=61", 60, "wait=60"),
        ("wait=99999999999999999999", 60, "wait=60"),
        ("respond-async, wait=3", 3, "wait=3"),
        ("wait=-1", 5, None),
        ("wait=soon", 5, None),
        ("wait", 5, None),
        ("return=minimal", 5, None),
    ],
)
def test_what_a_client_prefers_is_honoured_and_said_or_ignored(prefer, seconds, applied):
    wish = preference(request_with(**({"prefer": prefer} if prefer else {})), 5)
    assert (wish.seconds, wish.applied) == (seconds, applied)


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a\x7f", "ä"])
def test_a_key_that_cannot_be_repeated_faithfully_is_refused(key):
    with pytest.raises(ProblemError) as caught:
        idempotency_key(request_with(idempotency_key=key))
    assert caught.value.errors[0]["header"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["a", "a b", "x" * 255, '"quoted"'])
def test_an_ordinary_key_is_taken(key):
    assert idempotency_key(request_with(idempotency_key=key)) == key


def test_no_key_is_no_key():
    assert idempotency_key(request_with()) is None
