"""A tarball in pieces: the wanted files are found, however it is cut and whatever their names are."""

import gzip
import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from services.executor.artifacts.archives import Archive

LONG = "resources/services/namespaces/" + "n" * 63 + "/" + "s" * 253 + ".json"
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def packed(files, style=tarfile.PAX_FORMAT):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=style) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


NAMES = st.one_of(
    st.from_regex(r"(wanted|other)/[a-z]{1,20}(/[a-z]{1,40})?\.json", fullmatch=True),
    st.integers(60, 180).map(lambda n: f"wanted/{'d' * (n // 2)}/{'f' * (n // 2)}"),
)


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=8),
    st.integers(1, 700),
    st.sampled_from(FORMATS),
)
def test_whatever_is_wanted_is_found_in_pieces_of_any_size(files, step, style):
    data = packed(files, style)
    archive = Archive(lambda name: name.startswith("wanted/"))
    found = [each for start in range(0, len(data), step) for each in archive.feed(data[start : start + step])]
    assert found == [(name, content) for name, content in files if name.startswith("wanted/")]
    assert not archive.broken


def test_names_that_no_header_holds_are_read_from_the_one_before():
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert Archive(lambda name: True).feed(packed([(LONG, b"{}"), ("a", b"b")], style)) == [(LONG, b"{}"), ("a", b"b")]


def test_what_is_too_large_or_no_file_is_passed_over():
    large = b"x" * (1024 * 1024 + 1)
    assert Archive(lambda name: True).feed(packed([("large", large), ("small", b"s")])) == [("small", b"s")]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert Archive(lambda name: True).feed(made.getvalue()) == []


@given(st.binary(max_size=2000), st.booleans())
def test_what_is_no_archive_breaks_nothing(noise, zipped):
    archive = Archive(lambda name: True)
    archive.feed(gzip.compress(noise) if zipped else noise)


def test_what_is_no_archive_is_known_by_it():
    for noise in (b"not gzip at all", gzip.compress(b"z" * 2000)):
        archive = Archive(lambda name: True)
        archive.feed(noise)
        assert archive.broken
