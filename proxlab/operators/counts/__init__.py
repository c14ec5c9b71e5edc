"""Photons counted by a camera: their noise, their likelihood, its data terms, and what stabilises
their variance.

A wing of `operators`; it may import `solvers`.
"""
