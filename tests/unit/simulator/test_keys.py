"""Credential files, and which keys open which bucket."""

import pytest

from simulator.keys import Doors, Keys, read_keys

FILE = """
[default]
aws_access_key_id = id
aws_secret_access_key = se%cret

[other]
aws_access_key_id=other
aws_secret_access_key=of other
"""


@pytest.mark.parametrize(
    ("text", "profile", "expected"),
    [
        (FILE, "default", Keys("id", "se%cret")),
        (FILE, "other", Keys("other", "of other")),
        (FILE, "missing", Keys()),
        ("[default]\n", "default", Keys()),
        ("no such file", "default", Keys()),
        ("", "default", Keys()),
    ],
)
def test_keys_are_read_from_a_profile_of_a_credential_file(text, profile, expected):
    assert read_keys(text, profile) == expected


def test_keys_do_not_show_their_secret():
    assert "hidden" not in repr(Keys("id", "hidden"))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (Keys("id", "secret"), None),
        (Keys("id", "other"), "SignatureDoesNotMatch"),
        (Keys("who", "secret"), "InvalidAccessKeyId"),
        (Keys(), ""),
    ],
)
def test_a_locked_bucket_lets_nobody_in_but_the_holder_of_its_keys(keys, code):
    doors = Doors()
    doors.lock("vault", {"id": "secret"})
    refused = doors.refusal("vault", keys)
    assert (refused and refused.code) == code
    assert doors.refusal("another", keys) is None
    doors.open("vault")
    assert doors.refusal("vault", keys) is None
    assert doors.locked == []


def test_keys_are_let_in_and_dismissed_one_by_one():
    doors = Doors()
    doors.lock("vault")
    assert doors.refusal("vault", Keys("id", "")) is not None
    doors.admit("vault", "id", "secret")
    assert doors.refusal("vault", Keys("id", "secret")) is None
    doors.admit("vault", "id", "another")
    assert doors.refusal("vault", Keys("id", "secret")) is not None
    doors.dismiss("vault", "id")
    assert doors.refusal("vault", Keys("id", "another")) is not None
    assert doors.locked == ["vault"]
