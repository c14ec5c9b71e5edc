"""Posteriors of images: samples of what a measurement leaves open, and how to judge them."""
