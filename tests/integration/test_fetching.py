"""Reading pieces from object storages, odd ones among them; and that a signed URL is never repeated."""

import asyncio
import base64
import contextlib
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.executor.fetching import NoChunk, Refused, storage, trust_in
from shared.contracts.artifacts import Trouble
from tests.support.servers import free_port

DATA = b"0123456789" * 20_000
SECRET = "X-Amz-Signature=deadbeef"
QUERY = f"?X-Amz-Credential=a%2Fb&{SECRET}"


def answer(status, body=b"", **headers):
    fields = {"Content-Length": str(len(body)), "Connection": "close", **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = [f"HTTP/1.1 {status} Words", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.asynccontextmanager
async def server(replies, context=None):
    """A server that answers each request with the next of these; yields its URL and what it was asked."""
    asked = []

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(replies[min(len(asked), len(replies)) - 1])
            await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=context):
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}/b/k%2Bx{QUERY}", asked


async def fetch(url, offset=0, limit=10, etag=None, trust=True, timeout=5):
    async with storage(timeout) as found:
        return await found.fetch(url, trust, offset, limit, etag)


async def trouble(*replies, **more):
    async with server(replies) as (url, _):
        with pytest.raises(NoChunk) as no:
            await fetch(url, **more)
    assert SECRET not in repr(no.value) + str(no.value.__cause__)
    assert no.value.__suppress_context__ or no.value.__context__ is None
    return no.value


async def test_the_url_is_used_as_it_was_signed():
    async with server([answer(206, b"0123", Content_Range="bytes 0-3/4", ETag='"e"')]) as (url, asked):
        chunk = await fetch(url, limit=100, etag='"e"')
    assert (chunk.data, chunk.total, chunk.etag) == (b"0123", 4, '"e"')
    assert asked[0].startswith(f"GET /b/k%2Bx{QUERY} ")
    assert "range: bytes=0-99\r\n" in asked[0].lower()
    assert 'if-match: "e"\r\n' in asked[0].lower()


@pytest.mark.parametrize(("offset", "limit"), [(0, 10), (7, 5), (199_995, 100), (150_000, 1)])
async def test_a_storage_that_knows_no_ranges_is_read_all_the_same(offset, limit):
    async with server([answer(200, DATA, Last_Modified="yesterday")]) as (url, _):
        chunk = await fetch(url, offset, limit)
        assert (chunk.data, chunk.total) == (DATA[offset : offset + limit], len(DATA))
        assert await fetch(url, offset, limit, etag=chunk.etag) == chunk


@pytest.mark.parametrize(
    "reply",
    [
        answer(206, b"0123", ETag='"e"'),
        answer(206, b"0123", ETag='"e"', Content_Range="bytes 4-7/10"),
        answer(206, b"01", ETag='"e"', Content_Range="bytes 0-9/10"),
        answer(206, b"0123456789", ETag='"e"', Content_Range="bytes 0-9/10")[:-4],
        answer(500, b"<Error><Code>InternalError</Code></Error>"),
        answer(301, b"", Location="http://127.0.0.1:1/elsewhere" + QUERY),
        b"not HTTP at all\r\n\r\n",
        b"",
    ],
)
async def test_a_storage_that_answers_nonsense_is_unreachable(reply):
    assert (await trouble(reply)).trouble is Trouble.UNREACHABLE


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_names_the_code_of_the_storage_and_nothing_else(status):
    body = f"<Error><Code>ExpiredToken</Code><StringToSign>{SECRET}</StringToSign></Error>".encode()
    no = await trouble(answer(status, body))
    assert isinstance(no, Refused)
    assert f"HTTP {status} (ExpiredToken)" in no.detail


@pytest.mark.parametrize(("code", "means"), [("NoSuchKey", Trouble.NOT_THERE), ("NoSuchBucket", Trouble.UNREACHABLE)])
async def test_a_bucket_that_is_not_there_says_nothing_of_a_file(code, means):
    no = await trouble(answer(404, f"<Error><Code>{code}</Code></Error>".encode()))
    assert (no.trouble, code in no.detail) == (means, True)


async def test_what_has_another_tag_is_another_thing_also_where_the_storage_does_not_say_so():
    reply = answer(206, b"0123", Content_Range="bytes 0-3/4", ETag='"new"')
    assert (await trouble(reply, etag='"old"')).trouble is Trouble.CHANGED
    assert (await trouble(answer(412), etag='"old"')).trouble is Trouble.CHANGED


async def test_a_port_where_nobody_listens_and_a_name_that_nobody_knows():
    for host in (f"127.0.0.1:{free_port()}", "nowhere.invalid"):
        with pytest.raises(NoChunk) as no:
            await fetch(f"http://{host}/b/k{QUERY}")
        assert no.value.trouble is Trouble.UNREACHABLE
        assert host.partition(":")[0] in no.value.detail
        assert SECRET not in no.value.detail
    with pytest.raises(NoChunk):
        await fetch("no url at all")


# ---------------------------------------------------------------- TLS


def certificate(tmp_path):
    """A certificate of its own authority, for a server; as a context and as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "storage")])
    built = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        x509.random_serial_number(),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
    ).add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    pem = built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "both.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    return context, pem


def location(config=None, **storage):
    return {"metadata": {"name": "default"}, "spec": {"objectStorage": {"bucket": "b", **storage}, "config": config or {}}}


async def test_a_storage_is_believed_by_its_locations_authority_and_doubted_only_if_told(tmp_path):
    context, pem = certificate(tmp_path)
    reply = answer(206, b"0123", Content_Range="bytes 0-3/4", ETag='"e"')
    given = {"caCert": base64.b64encode(pem).decode()}
    async with server([reply], context) as (url, _):
        with pytest.raises(NoChunk, match="certificate is not trusted"):
            await fetch(url, trust=trust_in(location()))
        assert trust_in(location(**given)) is trust_in(location(**given)), "it is read once"
        for known in (location(**given), location({"insecureSkipTLSVerify": "true"})):
            assert (await fetch(url, trust=trust_in(known))).data == b"0123"
        with pytest.raises(NoChunk, match="not trusted"):
            await fetch(url, trust=trust_in(location({"insecureSkipTLSVerify": "false"})))
