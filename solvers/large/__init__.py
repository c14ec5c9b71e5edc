"""Large images: what is done with them a part at a time, so that few copies of them live.

A wing of `solvers`; may import torch alone.
"""
