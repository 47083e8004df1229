"""docs/fidelity.md says what the scenarios prove, and no more."""

from tests.conformance import fidelity


def test_the_page_is_what_the_scenarios_say():
    written = fidelity.PAGE.read_text() if fidelity.PAGE.exists() else ""
    assert written == fidelity.text(), "run `python -m tests.conformance.fidelity`"
