"""The laboratory: densities whose prox, score and posterior mean are known exactly.

`densities` has simple ones on the line and in the plane, `mixtures` Gaussian mixtures in any
dimension. What is learned or sampled elsewhere is held against them. A wing of `priors`: it may
import `solvers`, and nothing else of ours.
"""
