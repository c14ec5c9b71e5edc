"""Priors: what an image may look like. `contract` says what every prior has, `jacobians` how sure.

`tiles` cuts images that are too large for one of them.

May import `operators` (completion alone), `machine` and `solvers`.
"""
