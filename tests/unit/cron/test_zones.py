"""Time zones by name: IANA's names, letter for letter, and no way to a file."""

import pytest

from shared.cron.zones import ZoneInvalidError, zone


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5", "EST5EDT", "Asia/Calcutta"])
def test_a_name_of_the_list_is_a_zone(name):
    assert zone(name).key == name
    assert zone(name) is zone(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Europe/Atlantis", "'Europe/Atlantis' is not an IANA time zone: use a name such as Europe/Berlin or UTC."),
        ("", "'' is not an IANA time zone: use a name such as Europe/Berlin or UTC."),
        ("europe/berlin", "'europe/berlin' is not an IANA time zone: did you mean Europe/Berlin?"),
        (" UTC\n", "' UTC\\n' is not an IANA time zone: did you mean UTC?"),
        ("x" * 500, f"'{'x' * 60}…' is not an IANA time zone: use a name such as Europe/Berlin or UTC."),
    ],
)
def test_another_name_is_refused_in_a_sentence(name, sentence):
    with pytest.raises(ZoneInvalidError) as refused:
        zone(name)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "name",
    [
        "localtime",
        "posixrules",
        "Factory",
        "posix/Europe/Berlin",
        "right/UTC",
        "Europe",
        "zone.tab",
        "/usr/share/zoneinfo/UTC",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "Europe//Berlin",
        "UTC\0",
        ":UTC",
        "UTC+1",
    ],
)
def test_paths_and_what_depends_on_the_machine_are_no_zones(name):
    with pytest.raises(ZoneInvalidError):
        zone(name)
