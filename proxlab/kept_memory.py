"""Importing this makes freed memory stay with the process, where the C library is glibc.

glibc hands freed memory back to the system, and fetches it anew page by page, until one large piece
was freed (mallopt(3), M_MMAP_THRESHOLD): an eighth of the time of a learned prox, and a third of
that of a diffusion network. The piece below is never touched and costs nothing.
"""

import torch

torch.empty(30 * 2**20, dtype=torch.uint8)
