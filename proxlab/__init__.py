"""Inverse problems with priors learned as exact proximal operators.

    import proxlab

    op = proxlab.operators.deblur(kernel, noise=0.01)
    result = proxlab.restore(y, op, "lpn-gray")

Names are imported when first used: torch and deepinv take seconds, `proxlab --help` needs neither.
The rooms below, what each is and what it may import, are in CONTRIBUTING.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

__all__ = [
    "LPN",
    "Adapted",
    "Audit",
    "AveragePrior",
    "Calibration",
    "Checks",
    "DenoiserDiffusion",
    "DenoiserPrior",
    "Evidence",
    "ExplicitPrior",
    "Luminance",
    "Posterior",
    "PosteriorQuality",
    "Recorder",
    "Restoration",
    "Tiled",
    "adapt",
    "audit",
    "blur_width",
    "calibrate",
    "checkpoints",
    "classical",
    "compare",
    "data_terms",
    "estimate_gain",
    "estimate_noise",
    "images",
    "laplace_spread",
    "load",
    "metrics",
    "models",
    "operators",
    "posterior",
    "posterior_quality",
    "restore",
    "sample",
    "seam_error",
]

_HOMES = {
    "Adapted": "adaptation.adapting",
    "Audit": "audits.auditing",
    "AveragePrior": "priors.averages.average",
    "Calibration": "calibration",
    "Checks": "restoration",
    "DenoiserDiffusion": "diffusion.mean_prox",
    "DenoiserPrior": "priors.denoiser_prior",
    "Evidence": "restoration",
    "ExplicitPrior": "priors.explicit_prior",
    "LPN": "priors.lpn.network",
    "Luminance": "priors.color.luminance",
    "Posterior": "posteriors.samples",
    "PosteriorQuality": "posteriors.quality",
    "Recorder": "priors.recorder",
    "Restoration": "restoration",
    "Tiled": "tiled",
    "adapt": "adaptation.adapting",
    "audit": "audits.auditing",
    "blur_width": "operators.estimates.blur_width",
    "calibrate": "calibration",
    "compare": "comparison.comparing",
    "estimate_gain": "operators.estimates.photon_transfer",
    "estimate_noise": "operators.estimates.noise_level",
    "laplace_spread": "jobs",
    "load": "checkpoints",
    "models": "checkpoints",
    "posterior": "jobs",
    "posterior_quality": "posteriors.quality",
    "restore": "jobs",
    "sample": "sampling",
    "seam_error": "tiled",
}
"""Name -> the module that defines it."""
_MODULES = {
    "checkpoints": "checkpoints",
    "classical": "priors.classical",
    "data_terms": "restoration.data_terms",
    "images": "images",
    "metrics": "images.metrics",
    "operators": "operators",
}
"""Name -> the module that it is."""

if TYPE_CHECKING:  # the same names for editors and type checkers, which import nothing
    from proxlab import checkpoints, images, operators
    from proxlab.adaptation.adapting import Adapted, adapt
    from proxlab.audits.auditing import Audit, audit
    from proxlab.calibration import Calibration, calibrate
    from proxlab.checkpoints import load, models
    from proxlab.comparison.comparing import compare
    from proxlab.diffusion.mean_prox import DenoiserDiffusion
    from proxlab.images import metrics
    from proxlab.jobs import laplace_spread, posterior, restore
    from proxlab.operators.estimates.blur_width import blur_width
    from proxlab.operators.estimates.noise_level import estimate_noise
    from proxlab.operators.estimates.photon_transfer import estimate_gain
    from proxlab.posteriors.quality import PosteriorQuality, posterior_quality
    from proxlab.posteriors.samples import Posterior
    from proxlab.priors import classical
    from proxlab.priors.averages.average import AveragePrior
    from proxlab.priors.color.luminance import Luminance
    from proxlab.priors.denoiser_prior import DenoiserPrior
    from proxlab.priors.explicit_prior import ExplicitPrior
    from proxlab.priors.lpn.network import LPN
    from proxlab.priors.recorder import Recorder
    from proxlab.restoration import Checks, Evidence, Restoration, data_terms
    from proxlab.sampling import sample
    from proxlab.tiled import Tiled, seam_error


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"proxlab.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"proxlab.{_MODULES[name]}")
    raise AttributeError(f"module 'proxlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
