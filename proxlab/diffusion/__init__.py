"""Networks whose prox or score is sampled, the pairs they learn from, and how good samples are.

May import `images` (MNIST), `machine` and `solvers`.
"""
