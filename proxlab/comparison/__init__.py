"""Priors against each other: cases, the processes that share them, rows, and what is made of rows.

May import `restoration`, `named_priors`, `operators`, `images`, `machine` and `solvers`.
"""
