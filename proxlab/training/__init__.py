"""Training: the one loop, what it draws and minimises, and how each shipped model is made.

May import `checkpoints`, `priors`, `diffusion`, `operators`, `images`, `machine` and `solvers`.
"""
