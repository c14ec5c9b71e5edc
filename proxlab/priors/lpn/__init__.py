"""Learned proximal networks: gradients of learned convex potentials, exact proxes by construction.

A wing of `priors`; it may import `machine`, `solvers` and the room's own files.
"""
