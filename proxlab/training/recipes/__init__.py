"""Recipes: data, architecture, loss and schedule of every shipped model, one file a family.

A wing of `training`. Importing `names` alone must not import torch: the command line does.
"""
