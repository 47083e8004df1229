"""docs/fields.md leaves nothing out and claims nothing: the CRD, the API and the command line agree with its table."""

from collections import Counter

import pytest

from leeward.backups.form import FIELDS
from leeward.restores import form
from tests.contract import fields
from tests.contract.fieldtables import crd_leaves
from tests.contract.restorefields import RESTORES

FORM = """
Backup Name; Labels; Select Cluster to Backup; Namespaces to Backup; Specific Namespaces; Specific Resources: Global;
Included Resources (global); Excluded Resources (global); Included Resources (cluster); Excluded Resources (cluster);
Included Resources (namespace); Excluded Resources (namespace); Item Operation Timeout; Volume Snapshot Location;
Storage Location; Snapshot Option; Snapshot Move Data; Default Volumes to FS Backup; Data Mover; Parallel Files Upload;
CSI Snapshot Timeout; Backup TTL
"""
"""What the form of the user guide asks for."""


def test_the_page_is_what_the_table_says():
    assert fields.PAGE.read_text() == fields.text(), "run `make schemas`"


TABLES = pytest.mark.parametrize("table", [fields.BACKUPS, RESTORES], ids=lambda table: table.crd)


@TABLES
def test_every_property_of_a_spec_is_in_the_table_once(table):
    told = Counter(field.velero for field in table.fields if field.velero)
    assert told == Counter(crd_leaves(table.crd_schema()))


@TABLES
def test_every_field_of_the_api_is_in_the_table_once(table):
    told = Counter(field.pointer for field in table.fields if field.pointer)
    assert told == Counter(set(table.api_leaves()))


@pytest.mark.parametrize(("options", "table"), [(FIELDS, fields.BACKUPS), (form.FIELDS, RESTORES)], ids=["backups", "restores"])
def test_every_option_fills_a_field_of_the_table(options, table):
    pointers = [field.pointer for field in table.fields]
    for option in options:
        assert any(p == option.pointer or p.startswith(f"{option.pointer}/") for p in pointers), option.option


def test_every_field_of_the_form_is_in_the_table():
    wanted = {name.strip() for name in FORM.replace("\n", " ").split(";")}
    assert {field.guide for field in fields.ALL if field.guide} == wanted


@pytest.mark.parametrize("field", [f for f in fields.ALL if f.guide], ids=lambda f: f.guide.replace(" ", "-"))
def test_what_the_form_asks_for_has_an_option_of_its_own(field):
    assert fields.FROM_FILE not in fields.option(field.pointer)


def test_every_rule_is_used_and_known():
    assert {field.rule for field in fields.ALL if field.rule} == set(fields.RULES)
    assert {field.rule for field in RESTORES.fields if field.rule} <= set(fields.RULES)


def test_what_cannot_be_asked_for_says_why():
    assert all(field.note for field in (*fields.ALL, *RESTORES.fields) if not field.pointer)
