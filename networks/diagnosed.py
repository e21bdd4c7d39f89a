"""Inputs of a network that are neither carried from step to step nor constant: each is computed from fields that are.

Relative humidity is one (`relative_humidity_500`): seven of the 48 variables of the public ClimaX, of which no state
here has any, because specific humidity and temperature say it already.
"""

from contracts.constants import HECTOPASCAL

RELATIVE_HUMIDITY = "relative_humidity_"  # and the level in hPa


def sources(name: str) -> tuple[str, ...]:
    """The channels that the input `name` is computed from; none where it is a channel or a constant field itself."""
    if not name.startswith(RELATIVE_HUMIDITY):
        return ()
    level = name.removeprefix(RELATIVE_HUMIDITY)
    return f"temperature_{level}", f"specific_humidity_{level}"


def pressure(name: str) -> float:
    """Pa, where the diagnosed input `name` stands; raises ValueError where its name says no level."""
    try:
        level = float(name.removeprefix(RELATIVE_HUMIDITY))
    except ValueError:
        raise ValueError(f"{name}: expected a level in hPa after {RELATIVE_HUMIDITY}, such as 500") from None
    return level * HECTOPASCAL
