"""Diffusion models, which are sampled by their prox or score; their training pairs; sample quality.

May import `images` (MNIST), `machine` and `solvers`.
"""
