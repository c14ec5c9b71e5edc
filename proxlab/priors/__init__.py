"""Priors: what an image may look like. `contract` says what every prior has, `jacobians` how sure.

May import `operators` (completion alone), `machine` and `solvers`.
"""
