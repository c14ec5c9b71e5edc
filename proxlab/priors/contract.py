"""The contract of a prior: what every prior has, what it may have besides, what an object lacks.

    class Ridge:
        name, sigma_range = "ridge", (0.0, 1.0)
        capabilities = Capabilities(exact=True, convex=True)

        def prox(self, v, sigma):
            s = torch.as_tensor(sigma, dtype=v.dtype, device=v.device).view(-1, 1, 1, 1)
            return v / (1 + s**2)

is a prior: anything that solves for images (`restoration`, `Tiled`, `ExplicitPrior`) asks for these
four and for nothing else by name. What only some priors can do are methods, each with a Protocol
of its own: `HasProxAndValue` and `Selectable` of `solvers.protocols`, `HasParts`, `HasLevelValue`,
`HasInverse`, `HasSafer` and `HasSpread` here. What is not a prior yet, a network or a denoiser of
deepinv, becomes one by `adopted`.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

LEARNED_WEIGHT = 0.35
"""The `default_weight` of learned priors: near the best for `lpn-gray` and `crate-gray` on held-out
training images (`bench_calibration`)."""


@dataclass(frozen=True)
class Capabilities:
    """Claims of a prior about itself. The defaults claim nothing: they are true of any denoiser.

    >>> from proxlab.priors.contract import Capabilities
    >>> claims = Capabilities(exact=True, convex=True, reach=8)
    >>> claims.exact, claims.parts
    (True, False)
    >>> proxlab.load("unet-gray").capabilities.exact
    False
    """

    exact: bool = False
    """Whether its prox is argmin_x |x - v|^2 / 2 + R_sigma(x) to rounding, by construction."""
    convex: bool = False
    """Whether R_sigma is convex."""
    alpha: float = 0.0
    """Least eigenvalue that the Jacobian of its prox may have, 0 to 1: the strong convexity of the
    potential whose gradient the prox is. Above 0 the prox is one to one."""
    default_weight: float = 1.0
    """Weight of the prior in `proxlab.restore` where none is given, positive."""
    fixed_size: bool = False
    """Whether it takes images of a single size."""
    reach: int | None = None
    """Pixels beyond an aligned block on which the prox of the block depends at most, a multiple of
    `alignment`; None where the whole image counts. It is what `proxlab.Tiled` goes by."""
    alignment: int = 1
    """Pixels from one line at which an image may be cut to the next."""
    parts: bool = False
    """Whether it has `prox_and_part`, see `HasParts`."""
    most_probable: bool = False
    """Whether its prox is a most probable image by construction, and so no posterior mean: its
    Jacobian is then no covariance."""
    memory: int | None = None
    """Bytes that its prox holds at a time, in float32 on a CPU, for each number of its images: a
    colour image has three a pixel. About, and for large images; None where nobody knows. By this
    and the reach `proxlab.restore` decides on tiles."""
    memory_elsewhere: int | None = None
    """The same on a GPU, where all of an image is done at once; None where it is no other."""

    def __post_init__(self):
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is an eigenvalue of a prox, 0 to 1, got {self.alpha}")
        if not 0 < self.default_weight < float("inf"):
            raise ValueError(f"a weight is positive and finite, got {self.default_weight}")
        if self.alignment < 1 or (self.reach or 0) < 0:
            raise ValueError(
                f"an alignment is at least 1 pixel and a reach at least 0, got {self.alignment} "
                f"and {self.reach}"
            )
        if any(told is not None and told < 1 for told in (self.memory, self.memory_elsewhere)):
            raise ValueError(
                "the memory of a prox is bytes for each number of its images, at least 1, got "
                f"{self.memory} and {self.memory_elsewhere}"
            )
        if (self.reach or 0) % self.alignment:
            raise ValueError(
                f"a reach is a multiple of the alignment, got {self.reach} and {self.alignment}; "
                "make it up to the next"
            )


@runtime_checkable
class Prior(Protocol):
    """A model of what images look like, as a prox. Images are float [B, C, H, W] in [0, 1].

    >>> from proxlab.priors.contract import Capabilities
    >>> class Ridge:   # R_sigma(x) = sigma^2 |x|^2 / 2
    ...     name, sigma_range = "ridge", (0.0, 1.0)
    ...     capabilities = Capabilities(exact=True, convex=True)
    ...     def prox(self, v, sigma):
    ...         return v / (1 + torch.as_tensor(sigma, dtype=v.dtype).view(-1, 1, 1, 1) ** 2)
    >>> prior, op = Ridge(), proxlab.operators.inpaint(torch.ones(8, 8), noise=0.1)
    >>> prior.name, prior.sigma_range, prior.capabilities.convex
    ('ridge', (0.0, 1.0), True)
    >>> prior.prox(torch.ones(1, 1, 1, 2), 0.5)
    tensor([[[[0.8000, 0.8000]]]])
    >>> proxlab.restore(op(torch.ones(1, 1, 8, 8)), op, prior).certified
    [True]
    """

    @property
    def name(self) -> str:
        """Name in messages and tables."""
        ...

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The least and the largest noise level that it may be asked for, image units."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Claims about itself."""
        ...

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """argmin_x |x - v|^2 / 2 + R_sigma(x), or a denoiser's answer, [B, C, H, W] -> the same.

        sigma is a float or a tensor [B], a standard deviation in image units. No image of a batch
        changes the answer to another. Raises ValueError for a sigma outside `sigma_range`.
        """
        ...


@runtime_checkable
class HasParts(Protocol):
    """A prior whose value is a sum over the image, as far as its `capabilities.parts` says so.

    >>> from proxlab.priors.contract import HasParts
    >>> prior, v = proxlab.load("lpn-gray-small"), torch.rand(1, 1, 16, 16)
    >>> isinstance(prior, HasParts)
    True
    >>> x, left = prior.prox_and_part(v, 0.1, (slice(0, 16), slice(0, 8)))
    >>> left < prior.prox_and_value(v, 0.1)[1]
    tensor([True])
    """

    def prox_and_part(
        self, v: Tensor, sigma: float | Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """The prox x at v, and what those rows and columns hold of R_sigma(x), float64 [B].

        The parts that make up an image add up to R_sigma(x).
        """
        ...


@runtime_checkable
class HasLevelValue(Protocol):
    """A prior whose value is known at any image, not only at what its prox puts out.

    >>> from proxlab.priors.contract import HasLevelValue
    >>> prior, v = proxlab.load("tv"), torch.rand(1, 1, 16, 16)
    >>> x, r = prior.prox_and_value(v, 0.1)
    >>> isinstance(prior, HasLevelValue), torch.allclose(prior.value(x, 0.1), r)
    (True, True)
    """

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and R_sigma(x), float64 [B]."""
        ...

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """R_sigma(x), float64 [B]."""
        ...


@runtime_checkable
class HasInverse(Protocol):
    """A prior whose prox can be inverted.

    >>> from proxlab.priors.contract import HasInverse
    >>> prior, v = proxlab.load("lpn-gray-small").double(), torch.rand(1, 1, 16, 16).double()
    >>> isinstance(prior, HasInverse), isinstance(proxlab.load("tv"), HasInverse)
    (True, False)
    >>> torch.allclose(prior.inverse(prior.prox(v, 0.1), 0.1), v, atol=1e-4)
    True
    """

    def inverse(self, x: Tensor, sigma: float | Tensor, tol: float = 1e-6) -> Tensor:
        """The v with prox(v, sigma) = x, to a relative tolerance; raises RuntimeError if none."""
        ...


@runtime_checkable
class HasSafer(Protocol):
    """A prior that knows one nearer to what is exact by construction.

    >>> from proxlab.priors.contract import HasSafer
    >>> isinstance(proxlab.load("gs-unet+lpn-gray"), HasSafer)
    True
    """

    def safer(self, refused: Tensor) -> "Prior | None":
        """A prior that is nearer to exact for those images, bool [B], and itself for the others.

        None where there is none; asked of what it gave, again and again, it comes to None.

        >>> proxlab.load("gs-unet+lpn-gray").safer(torch.tensor([True])).name
        '0.25*gs-unet+0.75*lpn-gray'
        """
        ...


@runtime_checkable
class HasSpread(Protocol):
    """A prior that says how far each pixel of a denoised image may be trusted.

    >>> from proxlab.priors.contract import HasSpread
    >>> prior, v = proxlab.load("lpn-gray-small"), torch.rand(1, 1, 16, 16)
    >>> isinstance(prior, HasSpread), prior.spread(v, 0.1).shape
    (True, torch.Size([1, 1, 16, 16]))
    """

    def spread(self, v: Tensor, sigma: float | Tensor, probes: int = 72, seed: int = 0) -> Tensor:
        """Standard deviation of each pixel of the prox at v, [B, C, H, W].

        `probes` are products with the Jacobian, where its diagonal is estimated from random ones.
        Raises ValueError for a sigma of 0, for probes below 1, and of a prior without a spread.
        """
        ...


def lacking(thing: object) -> str:
    """A sentence on what keeps `thing` from being a prior, empty if nothing does.

    >>> from proxlab.priors.contract import lacking
    >>> lacking(torch.nn.ReLU())
    'ReLU is no prior: it has no name, no sigma_range, no capabilities, no prox; ...'
    >>> lacking(proxlab.load("tv"))
    ''
    """
    wanted = ("name", "sigma_range", "capabilities", "prox")
    there = dir(thing)
    missing = [f"no {word}" for word in wanted if word not in there]
    if missing:
        fault = f"it has {', '.join(missing)}"
    elif isinstance(thing, type):
        fault = "it is a class; make an object of it"
    elif not isinstance(thing, Prior):
        fault = f"one of {', '.join(wanted)} raises AttributeError where it is read"
    elif not callable(thing.prox):
        fault = f"its prox is {type(thing.prox).__name__}, not a method"
    elif not isinstance(thing.capabilities, Capabilities):
        fault = f"its capabilities are {type(thing.capabilities).__name__}, not Capabilities"
    else:
        return ""
    called = thing.__name__ if isinstance(thing, type) else type(thing).__name__
    return (
        f"{called} is no prior: {fault}; a prior has a name, a sigma_range, capabilities and a "
        "method prox(v, sigma) (proxlab.priors.contract)"
    )
