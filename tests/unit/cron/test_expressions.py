"""What can be written and what it means, and each refusal in its words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cron.expression import ALIASES, ALL_DAYS, ALL_HOURS, ALL_WEEKDAYS, CronInvalidError, members, parse
from tests.unit.cron.expressions import expressions
from tests.unit.cron.manual import read


def fields(text):
    cron = parse(text)
    return [set(members(bits)) for bits in (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)]


@pytest.mark.parametrize(
    ("alias", "fields"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        (" @Daily ", "0 0 * * *"),
    ],
)
def test_an_alias_is_five_fields(alias, fields):
    assert parse(alias) == parse(fields)
    assert parse(alias).text == fields


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("5", {5}),
        ("05", {5}),
        ("1,3,59", {1, 3, 59}),
        ("10-13", {10, 11, 12, 13}),
        ("10-20/5", {10, 15, 20}),
        ("*/20", {0, 20, 40}),
        ("*/70", {0}),
        ("5/20", {5, 25, 45}),
        ("59/15", {59}),
        ("5-5", {5}),
        ("58-1", {58, 59, 0, 1}),
        ("55-5/4", {55, 59, 3}),
        ("1-3,2-4,40/10", {1, 2, 3, 4, 40, 50}),
        ("*/1", set(range(60))),
        ("7,*", set(range(60))),
    ],
)
def test_values_ranges_steps_and_lists(field, values):
    assert fields(f"{field} * * * *")[0] == values


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", {0}),
        ("7", {0}),
        ("SUN", {0}),
        ("mon-Fri", {1, 2, 3, 4, 5}),
        ("1-7", {0, 1, 2, 3, 4, 5, 6}),
        ("5-7", {0, 5, 6}),
        ("FRI-MON", {0, 1, 5, 6}),
        ("7-2", {0, 1, 2}),
        ("7-7", {0}),
        ("SUN-SUN", {0}),
        ("SAT-TUE/2", {6, 1}),
        ("1-7/3", {1, 4, 0}),
        ("3-7/3", {3, 6}),
        ("0-7/3", {0, 3, 6}),
        ("*/2", {0, 2, 4, 6}),
        ("TUE,7", {0, 2}),
    ],
)
def test_days_of_the_week_begin_with_sunday_and_7_is_sunday_too(field, days):
    assert fields(f"0 0 * * {field}")[4] == days


def test_months_have_names_and_may_go_around_the_new_year():
    assert fields("0 0 1 nov-FEB,6 *")[3] == {11, 12, 1, 2, 6}
    assert fields("0 0 1 DEC-MAR/2 *")[3] == {12, 2}


def test_the_text_has_one_space_and_capitals_and_reads_as_the_same():
    cron = parse("  0\t2 *  jan mon-fri ")
    assert cron.text == "0 2 * JAN MON-FRI"
    assert parse(cron.text) == cron


@pytest.mark.parametrize(
    ("text", "either"),
    [
        ("0 0 1 * 5", True),
        ("0 0 1 * *", False),
        ("0 0 * * 5", False),
        ("0 0 1 * */1", False),  # any weekday, written with a step
        ("0 0 1 * 1,*", False),
        ("0 0 1 * */2", True),  # as croniter and Go's cron; cron itself takes what begins with a star for no restriction
        ("0 0 */2 * 5", True),
        ("0 0 1 * 0-6", True),  # every day: it is written as a restriction
        ("0 0 1-31 * 5", True),
        ("0 0 1-31 * */2", False),
        ("0 0 */2 * 0-6", False),
    ],
)
def test_a_day_matches_either_way_when_both_fields_are_restricted(text, either):
    assert parse(text).either is either


def test_every_hour_is_every_hour_however_it_is_written():
    for hours in ("*", "*/1", "0-23", "0-11,12-23", "12-11"):
        assert parse(f"0 {hours} * * *").hours == ALL_HOURS
        assert parse(f"0 {hours} * * *").every_hour
    assert not parse("0 1-23 * * *").every_hour


FIVE = "five fields (minute, hour, day of month, month, day of week)"
KNOWN = ", ".join(ALIASES)
MAY = "*, ranges (1-5), steps (*/2) and lists (1,3)."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"The expression is empty: expected {FIVE}."),
        ("  ", f"The expression is empty: expected {FIVE}."),
        ("0 0 * *", f"Expected {FIVE}, found 4."),
        ("0 0 0 * * *", f"Expected {FIVE}, found 6, and seconds and years are not supported."),
        ("0 0 0 * * * 2027", f"Expected {FIVE}, found 7, and seconds and years are not supported."),
        ("0 0 L * *", "L for the last day is not supported (day of month 'L')."),
        ("0 0 25-L * *", "L for the last day is not supported (day of month '25-L')."),
        ("0 0 * * 5L", "L for the last day is not supported (day of week '5L')."),
        ("0 0 * * l5", "L for the last day is not supported (day of week 'L5')."),
        ("0 0 * * FRI#2", "# for the nth weekday of a month is not supported (day of week 'FRI#2')."),
        ("0 0 15W * *", "W for the nearest weekday is not supported (day of month '15W')."),
        ("0 0 w15 * *", "W for the nearest weekday is not supported (day of month 'W15')."),
        ("0 0 LW * *", "W for the nearest weekday is not supported (day of month 'LW')."),
        ("0 0 ? * 1", "? is not supported (day of month '?'): use *."),
        ("H * * * *", "H and R, for times by hash or by chance, are not supported (minute 'H')."),
        ("0 H(0-5) * * *", "H and R, for times by hash or by chance, are not supported (hour 'H(0-5)')."),
        ("R/15 * * * *", "H and R, for times by hash or by chance, are not supported (minute 'R/15')."),
        ("@every 6h", "@every is not supported, because it names no times: use steps, such as */15 * * * *."),
        ("@reboot", "@reboot is not supported: a fleet of clusters has no moment at which it starts."),
        ("@sometimes", f"'@sometimes' is not known, or has words after it: use one of {KNOWN}."),
        ("@daily 5", f"'@daily' is not known, or has words after it: use one of {KNOWN}."),
        (
            "CRON_TZ=Europe/Berlin 0 2 * * *",
            "An expression cannot name its time zone: leave 'CRON_TZ=Europe/Berlin' out and set the schedule's time zone.",
        ),
        ("TZ=UTC 0 2 * * *", "An expression cannot name its time zone: leave 'TZ=UTC' out and set the schedule's time zone."),
        ("60 * * * *", f"'60' is not valid for the minute: use 0 to 59, {MAY}"),
        ("-1 * * * *", f"'-1' is not valid for the minute: use 0 to 59, {MAY}"),
        ("1,,2 * * * *", f"'' is not valid for the minute: use 0 to 59, {MAY}"),
        ("0 24 * * *", f"'24' is not valid for the hour: use 0 to 23, {MAY}"),
        ("0 MON * * *", f"'MON' is not valid for the hour: use 0 to 23, {MAY}"),
        ("0 0 0 * *", f"'0' is not valid for the day of month: use 1 to 31, {MAY}"),
        ("0 0 0-5 * *", f"'0-5' is not valid for the day of month: use 1 to 31, {MAY}"),
        ("0 0 32 * *", f"'32' is not valid for the day of month: use 1 to 31, {MAY}"),
        ("0 0 1 13 *", f"'13' is not valid for the month: use 1 to 12 or JAN to DEC, {MAY}"),
        ("0 0 1 JAN-FOO *", f"'JAN-FOO' is not valid for the month: use 1 to 12 or JAN to DEC, {MAY}"),
        ("0 0 * * 8", f"'8' is not valid for the day of week: use 0 to 7 (0 and 7 are Sunday) or SUN to SAT, {MAY}"),
        ("0 0 * * monday", f"'MONDAY' is not valid for the day of week: use 0 to 7 (0 and 7 are Sunday) or SUN to SAT, {MAY}"),
        ("*/0 * * * *", "The step of the minute '*/0' is 0: a step is 1 or more."),
        ("0 0 31 2 *", "It can never fire: no chosen month ('2') has a chosen day ('31')."),
        ("0 0 30-31 feb *", "It can never fire: no chosen month ('FEB') has a chosen day ('30-31')."),
        ("0 0 31 4,6,9,11 *", "It can never fire: no chosen month ('4,6,9,11') has a chosen day ('31')."),
        ("0 ２ * * *", "'0 ２ * * *' has letters, digits or blanks that cron does not know."),  # noqa: RUF001 (a wide digit)
        ("0\u00a02 * * *", "'0\\xa02 * * *' has letters, digits or blanks that cron does not know."),
        ("1," * 128 + "1 * * * *", "The expression is longer than 256 characters."),
    ],
)
def test_what_cannot_be_read_or_never_fires_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(CronInvalidError) as refused:
        parse(text)
    assert str(refused.value) == sentence


def test_names_with_the_letters_of_what_is_refused_are_names():
    assert fields("0 0 * JUL,MAR WED,THU,FRI")[3:] == [{3, 7}, {3, 4, 5}]


def test_a_day_that_no_chosen_month_has_does_no_harm_beside_a_weekday():
    cron = parse("0 0 31 2 1")
    assert cron.either
    assert ALL_DAYS & cron.days != ALL_DAYS
    assert ALL_WEEKDAYS & cron.weekdays == 1 << 1


@given(expressions())
def test_an_expression_means_what_the_manual_says(text):
    reading = read(text)
    assert fields(text) == [reading.minutes, reading.hours, reading.days, reading.months, reading.weekdays]
    assert parse(text).either is reading.either


@given(
    st.one_of(
        st.text(max_size=300),
        st.text("0123456789*/,-?#LWHR@ MONJAN\n", max_size=40),
        st.lists(st.text("0123456789*/,-LWSUNJA", min_size=1, max_size=8), min_size=5, max_size=5).map(" ".join),
    )
)
def test_whatever_is_written_is_read_or_refused_in_one_short_line(text):
    said = refusal(text)
    if said is None:
        assert parse(parse(text).text) == parse(text)
    else:
        assert len(said) < 250
        assert "\n" not in said
        assert said.endswith(".")


def refusal(text):
    try:
        parse(text)
    except CronInvalidError as error:
        return str(error)
    return None
