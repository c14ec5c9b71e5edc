"""The plan of a comparison: which noise levels, seeds, solvers and settings every prior meets.

A `Plan` says what is compared and a `ComparisonRun` how the work is done; both are arguments of
`proxlab.compare`. A `Comparison` is a plan filled with priors, problems and images, and lists its
cases.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from proxlab.comparison.case import DEFAULT_SOLVER, Case, PriorSettings, Row, parameters
from proxlab.comparison.problems import Problem
from proxlab.comparison.team import Alone, Team
from proxlab.named_priors import Prior
from proxlab.restoration import ALGORITHMS


@dataclass(frozen=True)
class Plan:
    """Conditions under which every prior meets every problem.

    Raises ValueError for a solver that is not in `proxlab.restoration.ALGORITHMS` nor "default".

    >>> from proxlab.comparison.plan import Plan
    >>> plan = Plan(noises=(0.01, 0.05), seeds=(0, 1, 2), solvers=("admm",))
    >>> len(plan.noises) * len(plan.seeds)   # cases of each image, problem and prior
    6
    """

    noises: Sequence[float] = ()
    """Noise levels of every problem, in units of the measurement; empty: each problem's own."""
    seeds: Sequence[int] = (0,)
    """Seeds of the noise and the masks."""
    solvers: Sequence[str] = (DEFAULT_SOLVER,)
    """Names of algorithms."""
    settings: Mapping[tuple[str, str], PriorSettings] | None = None
    """Settings by the names of (prior, problem); None: those shipped with the package."""
    default: PriorSettings = PriorSettings()
    """Settings of every other prior and problem. Shipped settings take its tolerance, and no more
    steps than it has."""
    lpips: bool = False
    """Whether LPIPS is measured too, which needs torchvision's AlexNet in torch's cache."""

    def __post_init__(self):
        for solver in self.solvers:
            if solver not in (DEFAULT_SOLVER, *ALGORITHMS):
                known = ", ".join((DEFAULT_SOLVER, *ALGORITHMS))
                raise ValueError(f"solver is one of {known}, got {solver!r}")


@dataclass(frozen=True)
class ComparisonRun:
    """Conduct of a comparison, which changes none of its figures.

    >>> from proxlab.comparison.plan import ComparisonRun
    >>> run = ComparisonRun(resume=True, watch=lambda row: print(row["prior"], row["psnr"]))
    >>> run.device
    'cpu'
    """

    resume: bool = False
    """Whether a folder that holds rows already is continued; it is refused otherwise."""
    device: str = "cpu"
    """Device that priors and solvers compute on."""
    watch: Callable[[Row], object] | None = None
    """Function that is called with each new row."""
    team: Alone | Team = field(default_factory=Alone)
    """Processes that share the cases, each of which calls `proxlab.compare` alike. The first of
    them watches the rows of the others when all are done."""


@dataclass(frozen=True)
class Comparison:
    """Everything that is compared.

    Raises ValueError for two images of one name, and for a prior whose name is empty or no text.
    """

    priors: Mapping[str, Prior]
    """Priors by the names that they have in the rows."""
    problems: Sequence[Problem]
    images: Sequence[Path]
    plan: Plan
    settings: Mapping[tuple[str, str], PriorSettings]
    """Settings by (prior, problem); `plan.default` where there are none."""

    def __post_init__(self):
        names = [path.name for path in self.images]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(
                f"images are told by their names, got {', '.join(sorted(twice))} twice"
            )

        for name in self.priors:
            if not isinstance(name, str) or not name:
                raise ValueError(
                    f"priors are told by their names, text of a letter or more, got {name!r}"
                )

    def cases(self) -> Iterator[tuple[Case, Problem]]:
        """Every case with its problem; the cases of one measurement follow each other."""
        plan = self.plan
        for problem, image, seed, solver in product(
            self.problems, self.images, plan.seeds, plan.solvers
        ):
            for noise, prior in product(plan.noises or problem.levels, self.priors):
                case = Case(
                    prior=prior,
                    problem=problem.name,
                    parameters=parameters(problem),
                    image=image.name,
                    noise=noise,
                    seed=seed,
                    solver=solver,
                    settings=self.settings.get((prior, problem.name), plan.default),
                )
                yield case, problem
