"""The uncertain parameters of SPEEDY (Molteni 2003, Climate Dynamics 20, 175): those that show within ten days.

Chosen among fifteen by what they do to zonal means, compared with what a small disturbance of the state does: at the
ends of their ranges four to seven times as much at day ten, in the median over the channels.  The relaxation time of
the convection, from 3 to 12 h, does 1.4 times as much (run/experiments/latent/RESULTS.md).
"""

from collections.abc import Sequence
from typing import Any

from contracts.parameters import Parameter

PARAMETERS = (
    Parameter("surface_drag", "1", 1.0, 0.5, 2.0),  # factor on the drag coefficients of land and sea
    Parameter("surface_heat_exchange", "1", 1.0, 0.5, 2.0),  # factor on the exchange of heat and water, of both
    Parameter("vapour_absorptivity", "1", 0.7, 0.35, 1.4),  # longwave, weak band, of 1 g/kg in 1000 hPa
    Parameter("condensation_humidity", "1", 0.9, 0.8, 0.98),  # relative, at the ground, above which water condenses
)


def physics_of(values: Sequence[Any]) -> Any:
    """JCM's parameters with these `values` (parameter,), which may be traced, in the place of the usual ones."""
    from jcm.physics.speedy.params import Parameters

    drag, heat, absorptivity, humidity = values
    usual = Parameters.default()
    surface = usual.surface_flux
    return usual.replace(
        surface_flux=surface.replace(cdl=drag * surface.cdl, cds=drag * surface.cds, chl=heat * surface.chl,
                                     chs=heat * surface.chs),
        shortwave_radiation=usual.shortwave_radiation.replace(ablwv1=absorptivity),
        condensation=usual.condensation.replace(rhlsc=humidity),
    )
