"""A potential that is convex because it is a log-density: mixtures of low-rank Gaussians.

For any density p of images, noised to p_s = p * N(0, s^2 I),

    psi_s(y) = |y|^2 / 2 + s^2 log p_s(y)

is convex: its gradient is the posterior mean, and its Hessian the posterior covariance over s^2. So
no weight is bound to a sign. Here p is for images of one small size, cut into blocks y_1 .. y_P or
taken whole as a single one:

    p(y) = sum_k w_k prod_i sum_j w_kij N(y_i; m_ij, B_ij B_ij^T + e_ij I)

Every block has a mixture of Gaussians near subspaces, as patches have in [Zoran11], and the classes
k say which of them go together. With noise p stays such a mixture, with e + s^2 in place of e: one
set of parameters gives the exact posterior mean, and so the exact prox, at every noise level.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class LogDensityConfig:
    """The size of a mixture of low-rank Gaussians."""

    height: int
    width: int
    components: int = 50
    """Gaussians in each block."""
    rank: int = 16
    """Dimensions of each Gaussian's subspace."""
    side: int | None = None
    """Side of the square blocks that an image is cut into; None: the image is one block."""
    classes: int = 1
    """Classes of images; with one, blocks are independent."""
    channels: int = 1
    """1 for gray images, 3 for colour."""
    seed: int = 0
    """Seed of the random parameters that training starts from, where they are not fitted."""

    def __post_init__(self):
        if min(self.height, self.width, self.components, self.classes) < 1:
            raise ValueError(
                "a mixture has images, classes and components, got images of "
                f"{self.height} x {self.width}, {self.classes} and {self.components}"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"images have 1 channel or 3, got {self.channels}")
        if self.side is not None and (
            self.side < 1 or self.height % self.side or self.width % self.side
        ):
            raise ValueError(
                f"blocks of side {self.side} do not tile {self.height} x {self.width} pixels; "
                "choose a side that divides both"
            )
        if not 0 < self.rank < self.size:
            raise ValueError(
                f"rank is from 1 to {self.size - 1}, a block's entries less one, got {self.rank}"
            )

    @property
    def blocks(self) -> int:
        """Blocks of an image."""
        return 1 if self.side is None else self.height * self.width // self.side**2

    @property
    def size(self) -> int:
        """Entries of a block."""
        return self.channels * self.height * self.width // self.blocks


class LogDensityPotential(nn.Module):
    """psi in units of the noise, psi(v, s) = |v|^2 / 2 + log p_s(s v) + constant.

    v is [B, C, H, W] of the size in `config`, sigma [B] above 0 and at most 1, in image units. All
    is computed in float64, whatever v is: the scores are small differences of large squares.

    The constant fixes |v|^2 / 2 - psi, which is the envelope of R / s^2. It is log q - log p_s, q
    being what p_s would be with every Gaussian at its peak. That is never negative, so R >= 0; for
    a single Gaussian R = 0 at its mean.
    """

    fixed_size, reach, alignment = True, None, 1

    def __init__(self, config: LogDensityConfig):
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        p, j, n = config.blocks, config.components, config.size
        self.config, self.channels = config, config.channels
        self.classes = nn.Parameter(torch.zeros(config.classes))
        self.choices = nn.Parameter(torch.zeros(config.classes, p, j))
        self.means = nn.Parameter(torch.rand(p, j, n, generator=generator))
        factors = torch.randn(p, j, config.rank, n, generator=generator)
        self.factors = nn.Parameter(factors / n**0.5)
        """B^T: its rows are directions times their deviations, orthogonal or not."""
        self.log_residual = nn.Parameter(torch.full((p, j), math.log(0.01)))
        """log e, of each Gaussian."""

    @property
    def alpha(self) -> float:
        """Strong convexity at every level: Hess psi >= e / (e + s^2), whose least is at s = 1."""
        e = float(self.log_residual.detach().double().exp().min())
        return e / (e + 1)

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, the posterior mean over s, of the shape of v; differentiable."""
        return self._run(v, sigma)[0]

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64, in one pass."""
        grad, scores, peaks = self._run(v, sigma)
        return grad, self._mix(peaks)[0] - self._mix(scores)[0]

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B] in float64."""
        return v.double().square().sum((1, 2, 3)) / 2 - self.gradient_and_gap(v, sigma)[1]

    def log_density(self, v: Tensor, sigma: Tensor) -> Tensor:
        """log p_s at y = s v, a density in image units, [B] in float64."""
        entries = self.config.size * self.config.blocks
        unit = entries * (2 * math.pi * sigma.double().square()).log() / 2
        return self._mix(self._run(v, sigma)[1])[0] - unit

    def likeliest(self, v: Tensor, sigma: Tensor) -> Tensor:
        """Number of each block's likeliest Gaussian, whatever the class, [B, P]."""
        return self._run(v, sigma)[1].argmax(2)

    def cut(self, x: Tensor) -> Tensor:
        """Blocks as vectors, [B, C, H, W] -> [B, P, n]. Raises ValueError for another size."""
        channels, height, width = self.config.channels, self.config.height, self.config.width
        if x.ndim != 4 or tuple(x.shape[1:]) != (channels, height, width):
            raise ValueError(
                f"this density is of images [B, {channels}, {height}, {width}], got {list(x.shape)}"
            )
        if self.config.side is None:
            return x.flatten(1)[:, None]
        return F.unfold(x, self.config.side, stride=self.config.side).mT

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Parameters for an optimiser: means and directions, of small entries, move slowly."""
        slow = [self.means, self.factors]
        fast = [self.classes, self.choices, self.log_residual]
        return [{"params": slow, "lr": learning_rate / 10}, {"params": fast, "lr": learning_rate}]

    def _run(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """grad psi, and log N_ij(v) [B, P, J] up to a constant, there and at the peak.

        With d = y - m, c = e + s^2, z = (B^T B + c I)^-1 B^T d, by the matrix inversion lemma
        (B B^T + c I)^-1 d = (d - B z) / c. [Golub13, Sec. 2.1.4]
        """
        y, s = self.cut(v.double()), sigma.to(v.device).double()
        if not ((s > 0) & (s <= 1)).all():
            raise ValueError(f"expected noise levels 0 < sigma <= 1 in image units, got {sigma}")
        s = s.view(-1, 1, 1)
        y = s * y
        means, factors = self.means.double(), self.factors.double()
        directions = factors.flatten(1, 2)
        inner = torch.einsum("bpn,pkn->bpk", y, directions).unflatten(2, factors.shape[1:3])
        inner = inner - (factors @ means[..., None])[..., 0]
        squares = y.square().sum(2, keepdim=True) + means.square().sum(2)
        squares = squares - 2 * torch.einsum("bpn,pjn->bpj", y, means)
        z, logdet = self._solve(factors @ factors.mT, inner, s)
        c = self.log_residual.double().exp() + s.square()
        scores = -(logdet + (squares - (inner * z).sum(3)) / c) / 2
        pull = self._mix(scores)[1] / c
        step = pull.sum(2, keepdim=True) * y - torch.einsum("bpj,pjn->bpn", pull, means)
        step = step - torch.einsum("bpk,pkn->bpn", (pull[..., None] * z).flatten(2), directions)
        return v - self._joined(s * step).to(v.dtype), scores, -logdet / 2

    def _mix(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """log sum_k w_k prod_i sum_j w_kij exp(scores_ij) [B], and each Gaussian's share in it."""
        branches = self.choices.double().log_softmax(2) + scores[:, None]
        blocks = branches.logsumexp(3)
        classes = self.classes.double().log_softmax(0) + blocks.sum(2)
        share = (branches - blocks[..., None]).exp() * classes.softmax(1)[..., None, None]
        return classes.logsumexp(1), share.sum(1)

    def _solve(self, gram: Tensor, inner: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """z [B, P, J, r] and log det(I + (B B^T + e I) / s^2) [B, P, J], by one solve a level."""
        levels, which = s.flatten().unique(return_inverse=True)
        square = levels.view(-1, 1, 1).square()
        c = self.log_residual.double().exp() + square
        eye = torch.eye(self.config.rank).to(gram)
        root = torch.linalg.cholesky(gram + c[..., None, None] * eye)
        left = self.config.size - self.config.rank
        logdet = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + left * c.log()
        logdet = logdet - self.config.size * square.log()
        inverse = torch.cholesky_inverse(root)
        z = torch.empty_like(inner)
        for k in range(len(levels)):
            images = which == k
            z[images] = torch.einsum("pjqr,bpjr->bpjq", inverse[k], inner[images])
        return z, logdet[which]

    def _joined(self, blocks: Tensor) -> Tensor:
        channels, height, width = self.config.channels, self.config.height, self.config.width
        if self.config.side is None:
            return blocks.view(-1, channels, height, width)
        return F.fold(blocks.mT, (height, width), self.config.side, stride=self.config.side)
