"""Jacobians of proxes: products and diagonals, and the error bars of denoised images from them.

May import what the room of priors may.
"""
