"""Names that Velero makes for labels."""

from simulator.names import label_value_problems
from simulator.velero.naming import valid_name


def test_a_name_that_fits_is_left_alone():
    assert valid_name("n" * 63) == "n" * 63


def test_long_names_are_cut_and_still_told_apart():
    one, other = valid_name("n" * 64), valid_name("n" * 65)
    assert one != other
    assert one.startswith("n" * 57)
    assert len(one) == len(other) == 63
    assert not label_value_problems(one)
