"""Physical constants and conversions, SI, each with its source.

WMO: Guide to Instruments and Methods of Observation (WMO-No. 8), 2018 edition.
USSA: U.S. Standard Atmosphere, 1976.
"""

GRAVITY = 9.80665  # m s-2, standard gravity; geopotential height = geopotential / GRAVITY (WMO)
GAS_CONSTANT_DRY = 287.05  # J kg-1 K-1, dry air (USSA: 8314.32 / 28.9644)
MOLAR_MASS_RATIO = 0.62198  # water vapour / dry air (WMO)
VIRTUAL_FACTOR = 1.0 / MOLAR_MASS_RATIO - 1.0  # Tv = T (1 + VIRTUAL_FACTOR q), about 0.6078
LAPSE_RATE = 0.0065  # K m-1, temperature decrease with height in the troposphere (USSA)
HEAT_CAPACITY_DRY = 3.5 * GAS_CONSTANT_DRY  # J kg-1 K-1, dry air at constant pressure (a gas of two atoms)
EARTH_ROTATION = 7.292115e-5  # s-1, angular velocity (GRS 80: Moritz 2000, J. Geodesy 74, 128)
EARTH_RADIUS = 6.371e6  # m, mean radius; great-circle distances
ZERO_CELSIUS = 273.15  # K

HECTOPASCAL = 100.0  # Pa
HOUR = 3600  # s

SURFACE_PRESSURE_NOMINAL = 100_000.0  # Pa, where surface channels stand in vertical localisation
SOLAR_CONSTANT = 1360.8  # W m-2 at one astronomical unit, total (Kopp & Lean 2011, Geophys. Res. Lett. 38, L01706)
