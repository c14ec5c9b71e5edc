"""Stacks in `proxlab restore`: the pages of a TIFF and the files of a folder, by one operator."""
