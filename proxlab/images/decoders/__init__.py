"""Decoders of image files, one a format, and how a format is told by its first bytes."""
