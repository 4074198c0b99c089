"""Which texts pass for units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.testing.conformance.units import is_unit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mm",
        "deg",
        "degrees",
        "year",
        "s",
        "hertz",
        "#",
        "a.u.",
        "counts/s",
        "1/angstrom",
        "m s-1",
        "m*s^-2",
        "m.s**-2",
        "mm²",
        "10^-6 m",
        "µm",
        "°C",
        "%",
        "keV",
        "kilometers",
        "ph/(s mm^2)",
    ],
)
def test_unit_is_understood(text: str) -> None:
    assert is_unit(text)


@pytest.mark.parametrize(
    "text",
    ["banana", "mm/banana", "m.banana", "m banana", "mm/", "3 %%%", " ", "kdeg", "m__s", "?"],
)
def test_other_text_is_not_a_unit(text: str) -> None:
    assert not is_unit(text)


UNITS = st.sampled_from(["mm", "s", "keV", "counts", "angstrom", "kg"])
POWERS = st.sampled_from(["", "2", "^2", "-1", "^-1", "³"])
JOINTS = st.sampled_from([" ", "*", ".", "/", " / ", "·"])


@given(st.lists(st.tuples(UNITS, POWERS, JOINTS), min_size=1, max_size=4))
def test_products_of_units_are_units_and_one_bad_factor_spoils_them(
    factors: list[tuple[str, str, str]],
) -> None:
    text = "".join(unit + power + joint for unit, power, joint in factors)
    assert is_unit(f"{text}mm")
    assert not is_unit(f"{text}banana")
