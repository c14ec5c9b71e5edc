"""Slices of patients: errors and pictures in Hounsfield units. A room of `images`, on its floor."""

from proxlab.images.slices.errors import HounsfieldErrors, hounsfield_errors, soft_tissue_picture

__all__ = ["HounsfieldErrors", "hounsfield_errors", "soft_tissue_picture"]
