"""Priors against each other: cases shared out, rows kept, tables, a figure and a page made of them.

May import `restoration`, `named_priors`, `operators`, `images`, `machine` and `solvers`.
"""
