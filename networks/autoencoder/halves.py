"""Fields on the sphere as two halves that a convolution may run over, each as if it were the northern one.

Each half has `margin` rows and columns more than its own: round in longitude, beyond the equator rows of the other
half, and beyond the pole what a walk over it meets, the last rows again in reverse, half way round the globe.  East and
north point the other way there: both components of the wind change their signs.  The southern half is mirrored along
the equator (rows reversed, northward wind with its sign changed), so that the Coriolis parameter is positive towards
the pole of both and one network serves both; a mirrored field is the same two halves, exchanged.
"""

from torch import Tensor, cat


def padded(x: Tensor, margin: int, across_pole: Tensor) -> Tensor:
    """(B, channel, lat, lon) -> (B, channel, lat + 2 margin, lon + 2 margin); `across_pole` (channel, 1, 1) is the sign
    that a field has on the other side of a pole."""
    half = x.shape[-1] // 2
    south, north = (rows.flip(-2).roll(half, -1) * across_pole for rows in (x[..., :margin, :], x[..., -margin:, :]))
    x = cat([south, x, north], dim=-2)
    return cat([x[..., -margin:], x, x[..., :margin]], dim=-1)


def halves(x: Tensor, margin: int, across_pole: Tensor, mirror: Tensor) -> Tensor:
    """(B, channel, lat, lon) -> (2 B, channel, lat / 2 + 2 margin, lon + 2 margin), the southern halves first; `mirror`
    (channel, 1, 1) is the sign that a field has in a mirror along the equator."""
    north = padded(x, margin, across_pole)
    south = north.flip(-2) * mirror
    return cat([south, north])[..., x.shape[-2] // 2 :, :]


def whole(x: Tensor, mirror: Tensor) -> Tensor:
    """(2 B, channel, lat / 2, lon), without margins -> (B, channel, lat, lon)."""
    south, north = x.chunk(2)
    return cat([south.flip(-2) * mirror, north], dim=-2)
