"""Samplers: proximal diffusion, its rivals from a score, and the schedule that they share.

A wing of `solvers`. Its generators differ from the algorithms beside it in having an end.
"""
