"""Which texts are units.

NeXus wants units that UDUNITS understands, and adds a few of its own (counts, pixels). The grammar
here is the common part: factors, each a name with an optional SI prefix and power, or a number,
joined by a dot, a star, a slash or a blank; ``mm``, ``counts/s``, ``1/angstrom``, ``m s-1``,
``10^-6 m``. An empty text means "has no unit".
"""

import re

_SYMBOLS = (
    "m g s A K mol cd Hz N Pa J W C V F S Wb T H lm lx Bq Gy Sv rad sr eV L l bar b ohm Ω Ω G B"
)
"""Symbols that take the prefixes below."""

_NAMES = (
    "meter metre gram gramme second sec ampere amp kelvin mole candela hertz newton pascal joule "
    "watt coulomb volt farad siemens weber tesla henry lumen lux becquerel gray sievert radian "
    "steradian electronvolt liter litre bar barn ohm gauss byte bit"
)
"""Names that take the long prefixes, and an s for the plural."""

_WITHOUT_PREFIX = (
    "deg ° arcdeg arcmin arcsec min h hr d Å Angstrom degC °C degF celsius Celsius % percent "
    "permille ppm ppb ct cts px ph adu ADU arb dimensionless unitless atm torr Torr psi u Da rpm "
    "cps in ft rlu #"
)
"""Taken as they stand. "#" is how BLISS says counts."""

_COUNTABLE = (
    "degree minute hour day year angstrom count pixel frame photon step point channel revolution "
    "inch"
)
"""Taken as they stand, and with an s for the plural."""

_WHOLE = frozenset({"", "a.u."})
"""Texts that are no products although they hold a dot, or nothing: none, arbitrary units."""

_PREFIXES = "Y Z E P T G M k h da d c m u µ μ n p f a z y"
_LONG_PREFIXES = (
    "yotta zetta exa peta tera giga mega kilo hecto deca deci centi milli micro nano pico femto "
    "atto zepto yocto"
)


def _products(prefixes: str, stems: str, endings: tuple[str, ...]) -> set[str]:
    return {
        prefix + stem + ending
        for prefix in ("", *prefixes.split())
        for stem in stems.split()
        for ending in endings
    }


_KNOWN = (
    _products(_PREFIXES, _SYMBOLS, ("",))
    | _products(_LONG_PREFIXES, _NAMES, ("", "s"))
    | _products("", _WITHOUT_PREFIX, ("",))
    | _products("", _COUNTABLE, ("", "s"))
)

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_LETTERS = rf"(?:[^\W\d_{_SUPERSCRIPTS}]|[°%#])+"
_POWER = rf"(?:\^?[+-]?\d+|[⁺⁻]?[{_SUPERSCRIPTS}]+)"
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:\^[+-]?\d+)?"
_FACTOR = rf"(?:{_NUMBER}|{_LETTERS}{_POWER}?)"
_PRODUCT = re.compile(rf"{_FACTOR}(?:(?:\s*[*·./]\s*|\s+){_FACTOR})*")
_NAME = re.compile(rf"{_NUMBER}|({_LETTERS}){_POWER}?")


def is_unit(text: str) -> bool:
    """Whether a text can be understood as a unit."""
    if text in _WHOLE:
        return True
    plain = text.strip().replace("**", "^").replace("(", "").replace(")", "")
    if not _PRODUCT.fullmatch(plain):
        return False
    return all(match[1] is None or match[1] in _KNOWN for match in _NAME.finditer(plain))
