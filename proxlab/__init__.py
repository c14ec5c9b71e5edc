"""Inverse problems with priors learned as exact proximal operators.

    import proxlab

    op = proxlab.operators.deblur(kernel, noise=0.01)
    result = proxlab.restore(y, op, proxlab.load("lpn-gray"))

Names are imported when first used: torch and deepinv take seconds, `proxlab --help` needs neither.
"""

from importlib import import_module

_PUBLIC = {
    "load": "checkpoints",
    "models": "checkpoints",
    "restore": "jobs",
    "sample": "sampling",
    "compare": "comparison.comparing",
    "Restoration": "restoration",
    "LPN": "priors.lpn.network",
    "ExplicitPrior": "priors.explicit_prior",
    "DenoiserPrior": "priors.denoiser_prior",
    "DenoiserDiffusion": "diffusion.mean_prox",
    "Tiled": "tiled",
    "seam_error": "tiled",
}
_MODULES = {
    "operators": "operators",
    "data_terms": "restoration.data_terms",
    "metrics": "images.metrics",
    "images": "images",
    "checkpoints": "checkpoints",
    "classical": "priors.classical",
}
__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(import_module(f"proxlab.{_PUBLIC[name]}"), name)
    if name in _MODULES:
        return import_module(f"proxlab.{_MODULES[name]}")
    raise AttributeError(f"module 'proxlab' has no attribute {name!r}")
