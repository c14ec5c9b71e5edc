"""Restoring images: data terms, first estimates, certificates, and `restore`, which joins them.

May import `images`, `operators` and `solvers`, never `priors`: it takes any object that keeps the
contract.
"""

from proxlab.restoration.evidence import Evidence
from proxlab.restoration.fixed_level import default_sigma
from proxlab.restoration.repeating import restore
from proxlab.restoration.restored import Restoration
from proxlab.restoration.settings import ALGORITHMS, Checks, Settings

__all__ = [
    "ALGORITHMS",
    "Checks",
    "Evidence",
    "Restoration",
    "Settings",
    "default_sigma",
    "restore",
]
