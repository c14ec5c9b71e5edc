"""Restoring images: data terms, first estimates, certificates, and `restore`, which joins them.

May import `operators` and `solvers`, never `priors`: it takes any object that keeps the contract.
"""

from proxlab.restoration.restoring import ALGORITHMS, Restoration, default_sigma, restore

__all__ = ["ALGORITHMS", "Restoration", "default_sigma", "restore"]
