"""Priors: what an image may look like. `contract` says what every prior has.

May import `operators` (completion alone), `machine` and `solvers`.
"""
