"""Data terms of operators: closed forms for circular blur and for masks, one for blur whose borders
are unknown, and one for all others.

A wing of `operators`; it may import `solvers`.
"""
