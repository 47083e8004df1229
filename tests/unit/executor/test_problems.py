"""What is wrong with a cluster as a whole, and when nothing is."""

from datetime import timedelta

import pytest

from services.executor.seeing.problems import clock_skew, missing_kinds, too_old
from tests.support.messages import NOW

WATCHED = ["backups", "restores", "schedules"]


def test_no_kind_at_all_is_no_velero_and_some_are_named():
    assert missing_kinds([], WATCHED, "velero") is None
    none = missing_kinds(WATCHED, WATCHED, "vault")
    assert (none.code, "namespace vault" in none.message) == ("VeleroMissing", True)
    some = missing_kinds(["schedules", "restores"], WATCHED, "velero")
    assert some.code == "CrdsMissing"
    assert "restores.velero.io, schedules.velero.io" in some.message


@pytest.mark.parametrize("version", ["v1.12.0", "v1.18.3", "1.13.1", "v2.0.0", "v1.12", "main", "", None, "v1.18.2-rc.1"])
def test_a_velero_that_leeward_is_made_for_is_no_problem(version):
    assert too_old(version) is None


@pytest.mark.parametrize("version", ["v1.11.1", "1.9", "v0.20.0"])
def test_an_older_one_is(version):
    problem = too_old(version)
    assert (problem.code, f"Velero {version} is older than 1.12" in problem.message) == ("VeleroTooOld", True)


def at(seconds):
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def skew(theirs, took=2.0):
    return clock_skew(NOW, NOW + timedelta(seconds=took), at(theirs))


@pytest.mark.parametrize("theirs", [0, 1, 32, -31])
def test_clocks_that_agree_within_what_can_be_seen_are_no_problem(theirs):
    assert skew(theirs) is None


def test_how_far_they_are_apart_is_told_and_which_is_ahead():
    assert "31 s ahead of" in skew(33).message
    assert "31 s behind" in skew(-32).message
    assert "2 min 5 s ahead of" in skew(127).message
    assert "1 h 59 min behind" in skew(-2 * 3600).message
    assert skew(33).code == "ClockSkew"


def test_an_answer_that_took_long_says_less():
    assert skew(33, took=10) is None


@pytest.mark.parametrize("odd", [None, "", "yesterday", 7])
def test_what_is_no_time_says_nothing(odd):
    assert clock_skew(NOW, NOW, odd) is None
