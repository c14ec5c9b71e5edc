"""The account of a run: looks at its steps, and its result.

A wing of `solvers`, of what its driver reads and writes.
"""
