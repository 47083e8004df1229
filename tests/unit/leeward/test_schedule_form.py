"""From options to a new schedule and to the changes of one, judged by the gateway's own rules; and back to the options."""

import json

import pytest

from leeward.backups.form import FIELDS
from leeward.errors import CliError, Exit
from leeward.problems import ApiError
from leeward.request import at, body_of
from leeward.schedules import form
from services.gateway.schemas import CreateSchedule, ScheduleSettings
from services.gateway.validation import InvalidRequestError, checked, merged_schedule
from tests.unit.leeward.test_request import BAD, VALUES

OWN = {
    "cron": "0 2 * * *",
    "timezone": "Europe/Berlin",
    "description": "Shop, every night",
    "delete_backups_on_deletion": True,
    "concurrency": "allow",
    "misfire": "all",
    "starting_deadline": "2h",
    "spread": "10m",
    "paused": True,
    "skip_next": 3,
}
OWN_BAD = {
    "cron": " " * 300,
    "timezone": "x" * 65,
    "description": "x" * 1001,
    "concurrency": "maybe",
    "misfire": "sometimes",
    "starting_deadline": "10s",
    "spread": "25h",
    "skip_next": -1,
}
FORM_BAD = {name: value for name, value in BAD.items() if name not in {"cluster", "deadline"}}


def new(base=None, **given):
    return body_of({"name": "nightly", "cluster": "eu1", "cron": "0 2 * * *", **given}, form.SCHEDULE, base=base)


def judged(body, model=CreateSchedule):
    return checked(model, json.dumps(body).encode())


@pytest.fixture
def stored():
    """A schedule as the API shows it."""
    body, _ = new(namespace=["shop,cart"], exclude_namespace=["dev"], label=["team=shop"], ttl="168h", selector="a=b")
    whole = judged(body).model_dump(mode="json", by_alias=True)
    return {**whole, "id": "s1", "status": "New", "reasons": [], "nextRunAt": None, "counts": {}, "version": 3}


@pytest.mark.parametrize("field", form.FIRST, ids=lambda field: field.parameter)
def test_every_option_fills_a_place_that_the_gateway_takes(field):
    body, options = new(**{field.parameter: {**VALUES, **OWN}[field.parameter]})
    judged(body)
    assert at(body, field.pointer) not in (None, [])
    assert options[field.pointer] == field.option


def test_everything_that_can_be_said_of_a_schedule_and_of_its_backups_has_an_option():
    said = {field.pointer.split("/")[1] for field in form.FIRST}
    assert said == {info.alias for name, info in CreateSchedule.model_fields.items() if name != "name"}
    backups = {field.pointer for field in FIELDS} - {"/cluster", "/deadline"}
    assert {field.pointer.removeprefix("/template") for field in form.FIRST} >= backups


@pytest.mark.parametrize("parameter", [*OWN_BAD, *FORM_BAD])
def test_what_the_gateway_finds_wrong_is_told_by_the_option(parameter):
    body, options = new(**{parameter: {**FORM_BAD, **OWN_BAD}[parameter]})
    with pytest.raises(InvalidRequestError) as invalid:
        judged(body)
    problem = ApiError(422, {"type": "/problems/invalid-request", "detail": "wrong", "errors": invalid.value.errors})
    told = problem.told(options, body)
    assert told.words.startswith(next(field.option for field in form.FIRST if field.parameter == parameter)), told.words
    assert told.exit_code is Exit.USAGE


def test_options_win_over_the_file_and_without_a_word_everything_is_backed_up():
    file = {"name": "f", "cluster": "us1", "cron": "@daily", "template": {"scope": {"kind": "all"}, "labels": {"a": "b"}}}
    body, _ = body_of({"ttl": "2h", "cron": "@hourly"}, form.SCHEDULE, base=file)
    assert body == {**file, "cron": "@hourly", "template": {**file["template"], "spec": {"ttl": "2h"}}}
    assert new()[0]["template"] == {"scope": {"kind": "all"}}


def test_what_no_schedule_can_do_without_is_asked_for():
    with pytest.raises(CliError, match=r"NAME.*--cluster.*--cron") as error:
        body_of({"production": True}, form.SCHEDULE)
    assert error.value.exit_code is Exit.USAGE


# ---------------------------------------------------------------------- changes


def changed(stored, *unset, base=None, **given):
    """The patch, after the gateway has made a schedule of it."""
    patch, options = form.CHANGE.of(stored, given, unset, base=base)
    settings = {info.alias for info in ScheduleSettings.model_fields.values()}
    now = judged({key: value for key, value in stored.items() if key in settings}, ScheduleSettings)
    return patch, options, merged_schedule(now, json.dumps(patch).encode())[0]


def test_only_what_changes_is_sent(stored):
    patch, options, after = changed(stored, cron="@daily", ttl="168h", skip_next=2)
    assert patch == {"cron": "@daily", "skipNext": 2}
    assert options == {"/cron": "--cron", "/template/spec/ttl": "--ttl", "/skipNext": "--skip-next"}
    assert (after.cron, after.skip_next) == ("@daily", 2)
    assert form.CHANGE.of(stored, {"cron": "0 2 * * *", "namespace": [], "production": False})[0] == {}


def test_an_option_replaces_all_that_its_field_says(stored):
    _, _, after = changed(stored, label=["tier=1"], selector="c=d", namespace=["pay"])
    assert after.template.labels == {"tier": "1"}
    assert after.template.spec.label_selector.match_labels == {"c": "d"}
    assert (after.template.scope.namespaces, after.template.scope.excluded_namespaces) == (["pay"], [])
    assert changed(stored, production=True)[2].template.scope.kind == "production"
    assert changed(stored, exclude_namespace=["x"])[2].template.scope.namespaces == ["shop", "cart"]


def test_what_is_unset_is_what_it_usually_is(stored):
    _, options, after = changed(stored, "ttl", "--label")
    assert (after.template.spec.ttl, after.template.labels) == ("720h", {})
    assert options["/template/spec/ttl"] == "--unset ttl"
    with pytest.raises(CliError, match="there is no option --tll of a field"):
        form.CHANGE.of(stored, {}, ["tll"])


def test_a_file_changes_what_it_says_and_belongs_to_one_schedule(stored):
    file = {"name": "nightly", "cluster": "eu1", "description": "x", "template": {"spec": {"ttl": None}}}
    patch, _, after = changed(stored, base=file, spread="1m")
    assert patch == {"description": "x", "spread": "1m", "template": {"spec": {"ttl": None}}}
    assert (after.template.spec.ttl, after.template.labels) == ("720h", {"team": "shop"})
    with pytest.raises(CliError, match="the file is of cluster us1, the schedule of cluster eu1"):
        form.CHANGE.of(stored, {}, base={**file, "cluster": "us1"})
