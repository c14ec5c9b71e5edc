"""Tiles: priors of large images, computed piece by piece, and how large a piece memory allows.

May import what the room of priors may.
"""
