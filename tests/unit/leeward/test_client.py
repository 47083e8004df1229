"""How the client asks, asks again and is refused: over a transport that plays the gateway."""

import ssl

import httpx2
import pytest

from leeward.client import Client
from leeward.errors import CliError, Exit, UnreachableError
from leeward.problems import ApiError
from leeward.settings import Connection, Token

HERE = Connection("http://gateway:8080", "--url", Token("lwt_secret", "LEEWARD_TOKEN"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("leeward.client._PAUSES", (0.0, 0.001, 0.001))
    monkeypatch.setattr("leeward.client._MAX_PAUSE", 0.0)


def gateway(*answers, connection=HERE, notice=print):
    """A client whose requests get these answers, the last one for ever, and the list of what it asked."""
    asked, left = [], list(answers)

    def answer(request):
        asked.append(request)
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        return given

    return Client(connection, notice=notice, transport=httpx2.MockTransport(answer)), asked


def problem(status, slug, **more):
    document = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": f"words of {slug}", **more}
    return httpx2.Response(status, json=document)


async def test_a_write_is_repeated_with_one_key_until_somebody_answers():
    client, asked = gateway(
        httpx2.ReadError("cut"), problem(503, "outcome-unknown"), httpx2.Response(502), httpx2.Response(201, json={"id": "b1"})
    )
    async with client:
        assert await client.post("/backups", {"name": "b1"}, key="k1") == {"id": "b1"}
    assert [request.headers["idempotency-key"] for request in asked] == ["k1"] * 4
    assert {request.content for request in asked} == {b'{"name":"b1"}'}


async def test_who_waits_for_another_attempt_is_told_why_once():
    said = []
    client, _ = gateway(httpx2.ConnectError("x"), httpx2.ReadError("cut"), httpx2.Response(201, json={}), notice=said.append)
    async with client:
        await client.post("/backups", {}, key="k1")
    assert said == ["nothing answers at http://gateway:8080; trying again"]


async def test_a_write_is_given_up_with_the_last_reason():
    client, asked = gateway(problem(503, "outcome-unknown", operationId="op"))
    async with client:
        with pytest.raises(ApiError) as error:
            await client.post("/backups", {}, key="k1")
    assert (error.value.exit_code, error.value.temporary, error.value.operation_id) == (Exit.UNREACHABLE, True, "op")
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("answers", "sent"),
    [([httpx2.ConnectError("refused")], False), ([httpx2.ReadError("cut"), httpx2.ConnectError("refused")], True)],
)
async def test_it_is_known_whether_a_write_can_have_arrived(answers, sent):
    client, _ = gateway(*answers)
    async with client:
        with pytest.raises(UnreachableError) as error:
            await client.post("/backups", {}, key="k1")
    assert error.value.sent is sent


@pytest.mark.parametrize("answer", [problem(422, "refused"), problem(409, "refused"), problem(500, "internal-error")])
async def test_a_no_is_not_asked_again(answer):
    client, asked = gateway(answer)
    async with client:
        with pytest.raises(ApiError):
            await client.post("/backups", {}, key="k1")
    assert len(asked) == 1


async def test_without_a_key_nothing_is_repeated():
    client, asked = gateway(httpx2.ReadError("cut"))
    async with client:
        with pytest.raises(UnreachableError):
            await client.post("/clusters", {})
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "exit_code", "words"),
    [
        (problem(401, "unauthenticated"), Exit.FORBIDDEN, "does not know the token from LEEWARD_TOKEN"),
        (problem(403, "forbidden"), Exit.FORBIDDEN, "words of forbidden"),
        (problem(404, "not-found"), Exit.NOT_FOUND, "words of not-found"),
        (problem(418, "new-in-a-later-version"), Exit.FAILED, "words of new-in-a-later-version"),
        (problem(503, "dependency-unavailable"), Exit.UNREACHABLE, "words of dependency-unavailable"),
        (httpx2.Response(504, text="<html>"), Exit.UNREACHABLE, "http://gateway:8080 answers 504 Gateway Timeout"),
        (httpx2.Response(200, text="<html>hello"), Exit.UNREACHABLE, "does not answer as Leeward would"),
        (httpx2.Response(200, json=[1]), Exit.UNREACHABLE, "does not answer as Leeward would"),
        (httpx2.Response(404, json={"detail": "x"}), Exit.UNREACHABLE, "does not answer as Leeward would"),
        (httpx2.Response(307, headers={"Location": "https://evil/"}), Exit.UNREACHABLE, "does not answer as Leeward would"),
        (httpx2.ConnectError("refused"), Exit.UNREACHABLE, "nothing answers at http://gateway:8080"),
        (httpx2.ReadTimeout("slow"), Exit.UNREACHABLE, "does not answer in time"),
        (httpx2.RemoteProtocolError("garbage"), Exit.UNREACHABLE, "the connection to http://gateway:8080 broke: garbage"),
        (httpx2.DecodingError("odd"), Exit.UNREACHABLE, "odd"),
    ],
    ids=lambda value: getattr(value, "status_code", None) or type(value).__name__,
)
async def test_every_failure_has_words_and_an_exit_code(answer, exit_code, words):
    client, asked = gateway(answer)
    async with client:
        with pytest.raises(CliError) as error:
            await client.get("/backups")
    assert (error.value.exit_code, words in error.value.words) == (exit_code, True), error.value.words
    assert "lwt_secret" not in f"{error.value.words} {error.value.hints}"
    assert len(asked) == 1  # a redirect is not followed: the token is for this gateway


async def test_a_missing_token_is_told_otherwise_than_a_wrong_one():
    client, _ = gateway(problem(401, "unauthenticated"), connection=Connection("http://gateway:8080", "--url"))
    async with client:
        with pytest.raises(ApiError, match="wants a token, and there is none"):
            await client.get("/backups")


async def test_a_certificate_that_is_not_trusted_is_no_reason_to_try_again():
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error = httpx2.ConnectError("tls")
    error.__cause__ = cause
    client, asked = gateway(error)
    async with client:
        with pytest.raises(CliError, match="not trusted: self-signed certificate") as told:
            await client.post("/backups", {}, key="k")
    assert "--ca-file" in told.value.hints[0]
    assert len(asked) == 1


async def test_a_list_is_followed_to_its_end_with_the_same_filters():
    client, asked = gateway(
        httpx2.Response(200, json={"items": [1], "nextCursor": "c1"}),
        httpx2.Response(200, json={"items": [2], "nextCursor": None}),
    )
    async with client:
        pages = [page["items"] async for page in client.pages("/backups", {"cluster": ["a", "b"], "search": None})]
    assert pages == [[1], [2]]
    assert [str(request.url.params) for request in asked] == ["cluster=a&cluster=b", "cluster=a&cluster=b&cursor=c1"]


@pytest.mark.parametrize("page", [{}, {"items": None}, {"items": [], "nextCursor": "c1"}])
async def test_a_list_that_is_none_or_never_ends_is_no_answer_of_leewards(page):
    client, _ = gateway(httpx2.Response(200, json=page))
    async with client:
        with pytest.raises(CliError, match="does not answer as Leeward would") as told:
            [page async for page in client.pages("/backups", {})]
    assert told.value.exit_code is Exit.UNREACHABLE


async def test_an_event_stream_that_is_refused_says_why():
    client, _ = gateway(problem(403, "forbidden"))
    async with client:
        with pytest.raises(ApiError, match="words of forbidden"):
            async with client.events({}, None):
                pass


async def listen(client, heard, last_id=None):
    async with client, client.events({}, last_id) as events:
        async for event in events:
            heard.append((event.kind, event.id, event.item))


async def test_events_come_with_their_place_and_a_stream_may_break():
    async def body():
        yield b': alive\n\nid: s-1\n\nevent: backup\nid: s-2\ndata: {"id":"b1"}\n\n'
        raise httpx2.ReadError("cut")

    client, asked = gateway(httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body()))
    heard = []
    with pytest.raises(UnreachableError, match="broke: cut"):
        await listen(client, heard, "s-0")
    assert heard == [("", "s-1", {}), ("backup", "s-2", {"id": "b1"})]
    assert asked[0].headers["last-event-id"] == "s-0"


async def test_something_else_at_the_address_of_the_stream_is_told():
    client, _ = gateway(httpx2.Response(200, text="<html>"))
    with pytest.raises(CliError, match="does not answer as Leeward would"):
        await listen(client, [])
