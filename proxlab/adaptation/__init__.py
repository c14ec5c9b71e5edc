"""Priors trained further on the noisy images at hand."""
