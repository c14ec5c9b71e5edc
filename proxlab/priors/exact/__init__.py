"""The laboratory: densities whose prox, score and posterior mean are known in closed form.

A wing of `priors`; it may import `solvers` and nothing else of ours.
"""
