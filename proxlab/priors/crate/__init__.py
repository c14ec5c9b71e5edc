"""CRATE, the white-box transformer: a network whose every layer is a step of an optimisation.

Three priors are made of it: a denoiser, a gradient step, which knows its value, and a completion,
which fills in holes. `layers` holds the formulas, `layer_rates` measures what the layers do. A wing
of `priors`: it may import `machine`, `solvers`, the files of the room, no other wing, and in
completion alone `operators`.
"""
