"""Computed tomography: the scan, its exact projector, filtered back-projection, sinogram files.

A wing of `operators`; it may import `images` (sinogram files) and `solvers`.
"""
