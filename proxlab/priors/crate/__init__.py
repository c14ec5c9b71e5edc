"""CRATE, the white-box transformer, as a denoiser, as a gradient step and to fill in holes.

A wing of `priors`; it may import `machine`, `operators` (completion alone) and `solvers`.
"""
