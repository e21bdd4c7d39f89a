"""A latent whose decoder is a network: increments depend on the state they are added to.

    dx(zeta) = decode(z_b + S^(1/2) sqrt(b) zeta) - decode(z_b),   z_b = encode(x_b)          (networks.autoencoder)

A Gauss-Newton step makes it linear at the zeta at hand, by forward and reverse derivatives of the decoder, so that its
system is that of a linear latent (`variational`).
"""

from dataclasses import dataclass, replace
from math import sqrt

from torch import Tensor
from torch.func import jvp, vjp

from networks.autoencoder.network import Autoencoder
from neural_da.localized import Extended
from neural_da.minimise import Solution
from neural_da.variational import Maps, Variational


@dataclass(frozen=True)
class Decoder:
    """The increments of a `network` to a state with latent `z` (size,)."""

    network: Autoencoder
    z: Tensor

    @property
    def size(self) -> int:
        return self.network.size

    def increment(self, zeta: Tensor, deviation: Tensor) -> Tensor:
        """dx (channel * column,)"""
        return self.network.increment(self.z, zeta, deviation).flatten()

    def adjoint(self, gradient: Tensor, deviation: Tensor) -> Tensor:
        """That of the tangent at zeta = 0."""
        return Tangent(self.network, self.z).adjoint(gradient, deviation)

    def tangent(self, zeta: Tensor, deviation: Tensor) -> "Tangent":
        """Of the increments, at `zeta`."""
        return Tangent(self.network, self.z + _root(self.network) * deviation * zeta)


@dataclass(frozen=True)
class Tangent:
    """The decoder's derivative at the latent `point` (size,): the maps of a linear latent."""

    network: Autoencoder
    point: Tensor

    @property
    def size(self) -> int:
        return self.network.size

    def increment(self, v: Tensor, deviation: Tensor) -> Tensor:
        """(channel * column,) of a direction v (size,)."""
        return jvp(self._decode, (self.point,), (_root(self.network) * deviation * v,))[1]

    def adjoint(self, gradient: Tensor, deviation: Tensor) -> Tensor:
        """Its adjoint: gradient by the state (channel * column,) -> by zeta (size,)."""
        return _root(self.network) * deviation * vjp(self._decode, self.point)[1](gradient)[0]

    def _decode(self, z: Tensor) -> Tensor:
        return self.network.decode(z).flatten()


def _root(network: Autoencoder) -> float:
    return sqrt(len(network.linear.grids))


@dataclass(frozen=True)
class Decoded(Variational):
    """J where increments are not linear in zeta: `latent` is a `Decoder`, or an `Extended` about one."""

    def linear(self, zeta: Tensor) -> Variational:
        """J with increments linear about `zeta`, where both have the same state."""
        decoder, own = self._decoder, slice(self._decoder.size)
        maps = self._with(decoder.tangent(zeta[own], self.deviation[own]))
        there = Variational(self.problem, maps, self.deviation, self.background, self.values)
        return replace(there, background=self.state(zeta) - there.increment(zeta))

    def moved(self, zeta: Tensor) -> "Decoded":
        """J from the state of `zeta` on."""
        decoder, own = self._decoder, slice(self._decoder.size)
        there = decoder.tangent(zeta[own], self.deviation[own]).point
        return replace(self, latent=self._with(replace(decoder, z=there)), background=self.state(zeta))

    def step(self, zeta: Tensor, tolerance: float, iterations: int) -> Solution:
        """The Gauss-Newton step delta from `zeta`."""
        return self.linear(zeta).step(zeta, tolerance, iterations)

    @property
    def _decoder(self) -> Decoder:
        found = self.latent.latent if isinstance(self.latent, Extended) else self.latent
        assert isinstance(found, Decoder)
        return found

    def _with(self, maps: Decoder | Tangent) -> Maps:
        """The maps of a control vector with others of its latent's part."""
        return replace(self.latent, latent=maps) if isinstance(self.latent, Extended) else maps
