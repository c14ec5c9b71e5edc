"""Samplers of the posterior p(x_0 | y) of a linear measurement.

`annealed` is the sampler, `covariances` say how uncertain a denoised image is, `observations` draw
the image that a measurement and a Gaussian leave open.
"""
