"""The contract as others see it: published schemas equal the models, and a golden message of every type stays readable."""

import json
from pathlib import Path

import jsonschema
import pytest

from shared.contracts.catalogue import TYPES, decode, encode
from tests.contract.schemas import FOLDER, schema_of, text_of

GOLDEN = Path(__file__).parent / "golden"


def golden(kind):
    sample = json.loads((GOLDEN / f"{kind}.json").read_text())
    return sample["subject"], sample["message"]


def test_there_is_a_schema_and_a_golden_message_for_every_type_and_for_nothing_else():
    assert {p.stem for p in FOLDER.glob("*.json")} == set(TYPES)
    assert {p.stem for p in GOLDEN.glob("*.json")} == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_the_published_schema_is_what_the_model_says(kind):
    assert (FOLDER / f"{kind}.json").read_text() == text_of(kind), "the contract has changed: `make schemas`, and is it a v2?"


@pytest.mark.parametrize("kind", TYPES)
def test_a_golden_message_can_be_read_and_says_the_same_when_written_again(kind):
    subject, message = golden(kind)
    _, envelope = decode(subject, json.dumps(message).encode())
    assert json.loads(encode(envelope)) == message


@pytest.mark.parametrize("kind", TYPES)
def test_a_golden_message_fits_its_schema_also_with_fields_of_a_later_version(kind):
    _, message = golden(kind)
    validator = jsonschema.Draft202012Validator(schema_of(kind))
    validator.validate(message)
    validator.validate({**message, "later": 1, "data": {**message["data"], "later": {"x": []}}})
