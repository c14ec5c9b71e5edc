"""What each layer of a CRATE encoder does, measured: coding rates and sparsity over depth.

Derived as they are, the layers should make R^c fall and zeros more; nothing in training asks for it
[Yu23, Sec. 3]. Tokens are measured at unit length, and in the spans of the U_k: scales differ from
layer to layer, are undone by the next normalisation, and would drown what is asked.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.crate.coding_rate import PRECISION, coding_rate, compressed_rate
from proxlab.priors.crate.denoiser import CrateDenoiser


class LayerRates(NamedTuple):
    """After one layer of the encoder, for each image, [B]."""

    rate: Tensor
    """R of the compressed tokens, nats."""
    compressed: Tensor
    """R^c of the compressed tokens in the layer's own subspaces, nats."""
    nonzero: Tensor
    """Share of the numbers in its codes that are not 0."""

    @property
    def reduction(self) -> Tensor:
        """R - R^c: what telling the subspaces apart saves."""
        return self.rate - self.compressed


def layer_rates(
    model: CrateDenoiser, v: Tensor, sigma: float | Tensor, precision: float = PRECISION
) -> list[LayerRates]:
    """One entry for each layer; v [B, C, H, W], each channel an image for a gray model.

    Raises ValueError as `CrateDenoiser.prox`, and for a precision that is not positive.
    """
    found = []
    with torch.no_grad():
        for compressed, codes, subspaces in model.encode(v, sigma):
            tokens = F.normalize(compressed.flatten(1, 2).double(), dim=2)
            bases = torch.linalg.qr(subspaces.double().mT).Q.mT
            found.append(
                LayerRates(
                    coding_rate(tokens, precision),
                    compressed_rate(tokens, bases, precision),
                    (codes != 0).flatten(1).double().mean(1),
                )
            )
    return found
