"""Learned proximal networks: denoisers that are exact proxes by construction, and know their value.

`network` holds the prior, `potential` what it asks of the convex function psi whose gradient it is.
Three such functions are here: `mixture_potential`, which the shipped models have, `icnn` and
`log_density`. A wing of `priors`: it may import `machine` and the files of the room, no other wing.
"""
