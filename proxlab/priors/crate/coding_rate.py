"""Coding rates: the nats that a set of tokens takes at a precision eps, in all and by subspaces.

    R(Z)      = 1/2 logdet(I + d / (N eps^2) Z Z^T)
    R^c(Z; U) = sum_k 1/2 logdet(I + p / (N eps^2) Y_k Y_k^T),  Y_k = U_k^T Z

for N tokens of width d, the columns of Z here and rows in the code, and K subspaces of dimension p.
R grows as tokens spread over the space, and R^c falls as each of them comes to lie in few
subspaces. The sparse rate reduction, R - R^c - lambda |Z|_0, is large for both. [Yu23, Sec. 2]
"""

import torch
from torch import Tensor

PRECISION = 0.5
"""eps, for tokens of length 1."""


def coding_rate(tokens: Tensor, precision: float = PRECISION) -> Tensor:
    """R of tokens [B, N, d], [B] in nats, by the smaller of the Gram matrices, d x d or N x N.

    Raises ValueError for a precision that is not positive. [Yu23, Sec. 2]
    """
    if not precision > 0:
        raise ValueError(f"the precision is a distance between tokens, positive, got {precision}")
    n, d = tokens.shape[1:]
    gram = tokens.mT @ tokens if d <= n else tokens @ tokens.mT
    whole = torch.eye(len(gram[0])).to(gram) + d / (n * precision**2) * gram
    return torch.linalg.cholesky(whole).diagonal(dim1=1, dim2=2).log().sum(1)


def compressed_rate(tokens: Tensor, subspaces: Tensor, precision: float = PRECISION) -> Tensor:
    """R^c of tokens [B, N, d] for subspaces U^T [K, p, d], [B] in nats. Raises as `coding_rate`."""
    inside = torch.einsum("bnd,kpd->bknp", tokens, subspaces)
    return coding_rate(inside.flatten(0, 1), precision).view(inside.shape[:2]).sum(1)


def compressed_rate_step(tokens: Tensor, subspaces: Tensor, precision: float = PRECISION) -> Tensor:
    """Z - (1 / alpha) grad R^c(Z; U), alpha = p / (N eps^2), [B, N, d]: one step of compression.

    With Y_k = U_k^T Z and G_k = Y_k^T Y_k the gradient is alpha sum_k U_k Y_k (I + alpha G_k)^-1.
    For subspaces that are orthogonal and fill the space the step is then

        sum_k U_k Y_k S_k,  S_k = alpha G_k (I + alpha G_k)^-1,

    which is attention: its weights S_k are a soft projection onto the tokens of the subspace.
    Subspace self-attention has softmax(G_k) in place of S_k. [Yu23, Sec. 2.3]
    """
    n, p = tokens.shape[1], subspaces.shape[1]
    alpha = p / (n * precision**2)
    inside = torch.einsum("bnd,kpd->bknp", tokens, subspaces)
    # (I + alpha G)^-1 Y^T from the p x p side.
    small = torch.eye(p).to(tokens) + alpha * inside.mT @ inside
    pulled = torch.linalg.solve(small, inside, left=False)
    return tokens - torch.einsum("bknp,kpd->bnd", pulled, subspaces)
