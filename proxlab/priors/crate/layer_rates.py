"""Measurements of each layer of a CRATE encoder: coding rates and sparsity over depth.

By their derivation the layers should lower R^c and add zeros; nothing in training asks for it
[Yu23, Sec. 3]. Tokens are measured at unit length, and in the spans of the U_k, because scales
differ from layer to layer, are undone by the next normalisation, and would drown the answer.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.crate.coding_rate import PRECISION, coding_rate, compressed_rate
from proxlab.priors.crate.denoiser import CrateDenoiser


class LayerRates(NamedTuple):
    """Measurements after one layer of the encoder, [B] each."""

    rate: Tensor
    """R of the compressed tokens, nats."""
    compressed: Tensor
    """R^c of the compressed tokens in the layer's own subspaces, nats."""
    nonzero: Tensor
    """Share of the numbers in the layer's codes that are not 0."""

    @property
    def reduction(self) -> Tensor:
        """R - R^c, the nats saved by telling the subspaces apart."""
        return self.rate - self.compressed


def layer_rates(
    model: CrateDenoiser, v: Tensor, sigma: float | Tensor, precision: float = PRECISION
) -> list[LayerRates]:
    """The rates of each layer at images v [B, C, H, W]; a gray model takes channels as images.

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
