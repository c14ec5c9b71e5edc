"""Averages of priors: what is exact by construction beside what is better and proved by the run."""
