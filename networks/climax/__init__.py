"""ClimaX (Nguyen et al. 2023, arXiv 2301.10343), a kind of network (`networks.kinds`)."""

from networks.climax.card import ClimaXCard as NetworkCard

__all__ = ["NetworkCard"]
