"""Credentials: each form as its plugin reads it, sealed for one reader, and shown to nobody."""

import configparser
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey, SealedBox

from services.gateway.locations.sealing import FORMS, Credential, KeyUnusableError, UnfitError, credential_text, form_of, seal
from services.gateway.validation import InvalidRequestError, read
from shared.contracts.events import SealingKey

MARKER = "Zx9-marker-of-a-secret"
FORMED: dict[str, dict[str, Any]] = {
    "aws": {"accessKeyId": f"{MARKER}-a", "secretAccessKey": f"{MARKER}-b"},
    "aws for a while": {"accessKeyId": f"{MARKER}-a", "secretAccessKey": f"{MARKER}-b", "sessionToken": f"{MARKER}-c"},
    "azure by key": {"storageAccountKey": f"{MARKER}=="},
    "azure by principal": {"tenantId": f"{MARKER}-t", "clientId": f"{MARKER}-c", "clientSecret": f"{MARKER}-s"},
    "gcp": {"serviceAccountKey": {"type": "service_account", "private_key": MARKER}},
    "file": {"file": f"[default]\naws_access_key_id={MARKER}\n"},
}
LINES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


def made(name: str) -> Credential:
    return read(Credential, json.dumps(FORMED[name]).encode())


@pytest.mark.parametrize("name", FORMED)
def test_a_credential_shows_nothing_of_itself(name: str) -> None:
    credential = made(name)
    shown = [repr(credential), str(credential), credential.model_dump_json(), str(credential.wire()), f"{credential!r:>9}"]
    assert not [each for each in shown if MARKER in each]
    assert MARKER in credential_text(
        {"azure": "azure", "gcp": "gcp"}.get(name.split(maxsplit=1)[0], "aws"), credential, {"storageAccountKeyEnvVar": "KEY"}
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"accessKeyId": MARKER},
        {"accessKeyId": MARKER, "secretAccessKey": 7, "sessionToken": [MARKER]},
        {"accessKeyId": f"{MARKER}\naws_session_token=x", "secretAccessKey": MARKER},
        {"accessKeyId": MARKER, "secretAccessKey": MARKER, "storageAccountKey": MARKER},
        {"tenantId": MARKER, "clientId": MARKER, "clientSecret": MARKER, "file": MARKER},
        {"serviceAccountKey": MARKER},
        {"file": {"text": MARKER}},
        {"file": f"{MARKER}\x00"},
        {"file": MARKER * 5000},
        {"token": MARKER},
        [MARKER],
        MARKER,
    ],
)
def test_what_is_no_credential_is_refused_without_being_repeated(body: Any) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(Credential, json.dumps(body).encode())
    assert refused.value.errors
    assert MARKER not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_forms_have_no_field_in_common() -> None:
    names = [name for form in FORMS for name in (*form.needed, *form.optional)]
    assert len(names) == len(set(names))
    known = {info.alias for info in Credential.model_fields.values()}
    assert set(names) == known
    assert all(form_of(made(name)) for name in FORMED)


def test_the_keys_of_aws_stand_in_the_profile_that_the_location_uses() -> None:
    credential = made("aws for a while")
    for config, section in ({}, "default"), ({"profile": "backups"}, "backups"):
        parsed = configparser.RawConfigParser(default_section="-", delimiters=("=",))
        parsed.read_string(credential_text("velero.io/aws", credential, config))
        assert dict(parsed[section]) == {
            "aws_access_key_id": f"{MARKER}-a",
            "aws_secret_access_key": f"{MARKER}-b",
            "aws_session_token": f"{MARKER}-c",
        }


def test_the_key_of_an_azure_account_stands_under_the_name_that_the_location_says() -> None:
    text = credential_text("azure", made("azure by key"), {"storageAccountKeyEnvVar": "MY_KEY"})
    assert text == f"MY_KEY={MARKER}==\n"
    for config in ({}, {"storageAccountKeyEnvVar": "a b"}):
        with pytest.raises(UnfitError, match="storageAccountKeyEnvVar") as unfit:
            credential_text("azure", made("azure by key"), config)
        assert unfit.value.pointer == "/spec/config"


def test_a_principal_of_azure_is_an_environment_and_what_is_special_in_one_stands_in_quotes() -> None:
    credential = Credential.model_validate(
        {"tenantId": "t", "clientId": "c", "clientSecret": "a#b$c\"d\\e'f", "subscriptionId": "s"}
    )
    assert credential_text("azure", credential) == (
        'AZURE_SUBSCRIPTION_ID=s\nAZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET="a#b\\$c\\"d\\\\e\'f"\n'
    )


def test_a_service_account_and_a_file_are_written_as_they_came() -> None:
    assert json.loads(credential_text("gcp", made("gcp"))) == FORMED["gcp"]["serviceAccountKey"]
    assert credential_text("example.org/other", made("file")) == FORMED["file"]["file"]


@pytest.mark.parametrize(("provider", "name"), [("gcp", "aws"), ("aws", "gcp"), ("aws", "azure by key"), ("a/b", "gcp")])
def test_a_credential_of_another_provider_is_refused_in_words(provider: str, name: str) -> None:
    with pytest.raises(UnfitError, match=f"a credential for {provider} is one of") as unfit:
        credential_text(provider, made(name))
    assert unfit.value.pointer == "/credential"
    assert MARKER not in str(unfit.value)


@given(LINES, LINES)
def test_any_keys_of_aws_come_back_from_the_file(key: str, secret: str) -> None:
    credential = Credential.model_validate({"accessKeyId": key, "secretAccessKey": secret})
    _section, first, second = credential_text("aws", credential).splitlines()
    assert first.partition("=")[2] == key
    assert second.partition("=")[2] == secret


@given(st.text(max_size=200))
def test_who_has_the_private_half_reads_what_was_sealed(text: str) -> None:
    private = PrivateKey.generate()
    public = bytes(private.public_key)
    key = SealingKey(id=hashlib.sha256(public).hexdigest()[:16], key=public)
    sealed, again = seal(key, text), seal(key, text)
    assert sealed.key == key.id
    assert SealedBox(private).decrypt(sealed.box).decode() == text
    assert sealed.box != again.box
    assert len(text) < 8 or text.encode() not in sealed.box


@pytest.mark.parametrize("public", [b"", b"short", b"x" * 33])
def test_a_key_that_is_none_seals_nothing(public: bytes) -> None:
    with pytest.raises(KeyUnusableError) as unusable:
        seal(SealingKey(id="k", key=public), MARKER)
    assert MARKER not in str(unusable.value)
