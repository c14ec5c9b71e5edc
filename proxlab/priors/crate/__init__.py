"""CRATE, the white-box transformer: a network whose every layer is a step of an optimisation.

Two priors are here, a denoiser and a completion, which fills in holes; `gradient_step` in the room
makes a third of the denoiser, which knows its value. `layers` holds the formulas, `layer_rates`
measures what the layers do. A wing of `priors`: it may import the files of the room but no other
wing, `machine`, and in completion alone `operators`.
"""
