"""When to look: in the order in which things are due, each once, and never later than anybody has said."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.agenda import Agenda
from tests.support.scheduler import NOON, at


def test_what_is_due_is_taken_once_the_longest_due_first():
    agenda = Agenda()
    for name, due in (("a", "12:02"), ("b", "12:01"), ("c", "12:03"), ("d", "12:01:30")):
        agenda.put(name, at(due))
    assert agenda.next() == at("12:01")
    assert agenda.waiting(at("12:02")) == 3
    assert agenda.take(at("12:02"), 2) == ["b", "d"]
    assert agenda.take(at("12:02"), 9) == ["a"]
    assert agenda.take(at("12:02"), 9) == []
    assert (agenda.next(), len(agenda)) == (at("12:03"), 4)


def test_a_look_is_never_put_off():
    agenda = Agenda()
    agenda.put("a", at("12:05"))
    agenda.put("a", at("12:09"))
    agenda.put("a", None)
    assert agenda.next() == at("12:05")
    agenda.put("a", at("12:01"))
    assert agenda.take(at("12:30"), 9) == ["a"]
    assert agenda.next() is None


def test_what_is_said_while_a_look_is_under_way_is_not_lost():
    agenda = Agenda()
    agenda.put("a", at("12:00"))
    assert agenda.take(at("12:00"), 9) == ["a"]
    agenda.put("a", at("12:00:01"))  # a hint
    agenda.put("a", at("13:00"))  # the look has ended
    assert agenda.next() == at("12:00:01")


def test_what_is_gone_is_forgotten():
    agenda = Agenda()
    agenda.put("a", at("12:00"))
    agenda.put("b", None)
    assert agenda.known() == {"a", "b"}
    agenda.forget({"a", "c"})
    assert (agenda.known(), agenda.next(), agenda.take(at("13:00"), 9)) == ({"b"}, None, [])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.booleans()), max_size=60))
def test_it_holds_what_was_put_and_not_taken(steps):
    agenda, wanted = Agenda(), {}
    for name, second, take in steps:
        moment = NOON + timedelta(seconds=second)
        if take:
            due = sorted((when, each) for each, when in wanted.items() if when <= moment)
            assert sorted(agenda.take(moment, 9)) == sorted(each for _, each in due)
            wanted = {each: when for each, when in wanted.items() if when > moment}
        else:
            agenda.put(str(name), moment)
            wanted[str(name)] = min(moment, wanted.get(str(name), moment))
        assert agenda.next() == min(wanted.values(), default=None)
