"""Restoring images: data terms, first estimates, certificates, and `restore`, which joins them.

May import `operators` and `solvers`, never `priors`: it takes any object that keeps the contract.
"""

from proxlab.restoration.restoring import Restoration, default_sigma, restore
from proxlab.restoration.settings import ALGORITHMS, Settings

__all__ = ["ALGORITHMS", "Restoration", "Settings", "default_sigma", "restore"]
