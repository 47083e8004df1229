"""Credentials: read from files and the environment, sent in the words of their provider, and never shown."""

import io
import json

import pytest

from leeward import credentials
from leeward.errors import CliError, Exit
from services.gateway.locations.sealing import Credential, credential_text
from shared.contracts.locationspec import Provider

MARK = "wJalrXUtnFEMI+MARK/bPxRfiCY"
AWS = f"[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key={MARK}\n"
AZURE = f"# ours\nAZURE_SUBSCRIPTION_ID=s\nAZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET={MARK}\n"
GCP = json.dumps({"type": "service_account", "private_key": MARK})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AWS, {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": MARK}),
        (AWS + "aws_session_token=x\n", {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": MARK, "sessionToken": "x"}),
        (AZURE, {"subscriptionId": "s", "tenantId": "t", "clientId": "c", "clientSecret": MARK}),
        (GCP, {"serviceAccountKey": {"type": "service_account", "private_key": MARK}}),
    ],
)
def test_a_file_is_sent_in_the_words_of_its_provider(text, said):
    assert credentials.credential(text) == said
    Credential.model_validate(said)


@pytest.mark.parametrize(
    "text",
    [
        AWS.replace("default", "other"),
        AWS + "[second]\naws_access_key_id=x\n",
        AWS + "region=eu-west-1\n",
        f"[default]\naws_secret_access_key={MARK}\n",
        AZURE + "AZURE_CLOUD_NAME=AzurePublicCloud\n",
        f"AZURE_STORAGE_ACCOUNT_ACCESS_KEY={MARK}\n",
        AZURE.replace(MARK, f'"{MARK}"'),
        json.dumps({"type": "authorized_user"}),
        "anything else",
    ],
)
def test_what_its_words_could_not_say_is_sent_as_it_is(text):
    assert credentials.credential(text) == {"file": text}
    Credential.model_validate({"file": text})


def test_what_the_plugin_reads_in_the_end_says_the_same():
    made = credential_text(Provider.AWS, Credential.model_validate(credentials.credential(AWS)))
    assert credentials.credential(made) == credentials.credential(AWS)


def test_the_environment_says_it_as_well(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARK)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    assert credentials.given(None, from_env=True) == {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": MARK}
    assert credentials.given(None, from_env=False) is None


def test_what_is_not_in_the_environment_is_named():
    with pytest.raises(CliError, match="AWS_SECRET_ACCESS_KEY is not set") as error:
        credentials.from_environment({"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE"})
    assert error.value.exit_code is Exit.USAGE


def test_a_file_and_stdin_are_read(tmp_path, monkeypatch):
    (tmp_path / "keys").write_text(AWS)
    assert credentials.given(str(tmp_path / "keys"), from_env=False)["secretAccessKey"] == MARK
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(AWS.encode())))
    assert credentials.given("-", from_env=False)["secretAccessKey"] == MARK


@pytest.mark.parametrize(
    "content",
    [b"", b"  \n", MARK.encode() + b"\xff\xfe", MARK.encode() * 5000, None],
    ids=["empty", "blank", "odd", "long", "no"],
)
def test_what_cannot_be_read_is_told_and_not_shown(tmp_path, content):
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(CliError) as error:
        credentials.given(str(tmp_path / "keys"), from_env=False)
    assert error.value.exit_code is Exit.USAGE
    assert MARK not in repr((error.value, error.value.words, error.value.hints, error.value.__cause__))


@pytest.mark.parametrize("given", [{"file": "x", "from_env": True}, {"file": "-", "from_env": False, "from_file": "-"}])
def test_two_places_exclude_each_other(given):
    with pytest.raises(CliError) as error:
        credentials.given(given.pop("file"), **given)
    assert error.value.exit_code is Exit.USAGE
