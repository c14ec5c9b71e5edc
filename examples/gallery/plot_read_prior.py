"""
Read a prior: what it thinks unlikely
=====================================

A learned proximal network is the prox of a function R, and R can be computed at any image. So the
prior can be asked what it expects of images, before it is trusted with one.
"""

import io

import matplotlib.pyplot as plt
import torch
from PIL import Image
from skimage.data import camera
from torchvision.transforms.functional import gaussian_blur, pil_to_tensor, to_pil_image

import proxlab

# %%
# A photograph and what can happen to it
# --------------------------------------
# ``value(x, sigma)`` inverts the prox: it finds v with prox(v) = x, and R follows from v and x.
# Divided by sigma squared it is in nats, as ``-log p`` would be, up to an unknown constant. The
# smaller sigma, the noise level at which the prior is read, the finer the detail that counts.

SIGMA = 0.05
prior = proxlab.load("lpn-gray")
x = torch.from_numpy(camera()[70:198, 180:308].copy()).float()[None, None] / 255
noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
file = io.BytesIO()
to_pil_image(x[0]).save(file, "JPEG", quality=15)
variants = {
    "blurred": gaussian_blur(x, 9, 1.6),
    "half the contrast": 0.5 + 0.5 * (x - 0.5),
    "photograph": x,
    "upside down": x.flip(2),
    "JPEG, quality 15": pil_to_tensor(Image.open(file)).float()[None] / 255,
    "noise of 0.05": x + 0.05 * noise,
    "pixels shuffled": x.flatten()[noise.flatten().argsort()].view_as(x),
}
values = prior.value(torch.cat(list(variants.values())), SIGMA, tol=1e-2) / SIGMA**2
for name, value in zip(variants, values, strict=True):
    print(f"{name:20s}{float(value) / x.numel():8.2f} nats per pixel")

# %%
# Where in the image?
# -------------------
# The photograph gets a patch of noise and a scratch, is cut into blocks of 16 x 16 pixels that
# overlap by half, and each block is read as an image of its own.

marked = x.clone()
marked[..., 12:44, 88:120] += 0.1 * noise[..., 12:44, 88:120]
marked[..., 60:62, 8:72] = 1.0
blocks = marked.unfold(2, 16, 8).unfold(3, 16, 8).reshape(-1, 1, 16, 16)
heat = prior.value(blocks, SIGMA, tol=1e-2).view(15, 15) / SIGMA**2 / 256
print(f"blocks: from {float(heat.min()):.2f} to {float(heat.max()):.2f} nats per pixel")

# %%
# What to look for
# ----------------
# Blur and low contrast make an image *more* likely: R is least, and 0, on constant images, so on
# its own this prior would have everything flat. It is the data term that asks for detail. Upside
# down costs the same as upright, nearly: the network sees a neighbourhood, not a face. Noise and
# shuffled pixels are what it was trained to find unlikely, and JPEG is not: its flat blocks are
# cheap, though any reader sees them. In the map the noise stands out, but so do honest edges, and
# the scratch, a straight line between flat grounds, hardly does. A high R is no proof of a defect,
# and a low one none of truth.

figure, axes = plt.subplot_mosaic(
    [["marked", "map"], ["bars", "bars"]],
    figsize=(8, 6.2), height_ratios=(3.6, 2.4), layout="constrained",
)  # fmt: skip
axes["marked"].imshow(marked[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
axes["marked"].set_title("a patch of noise, a scratch", fontsize=10)
seen = axes["map"].imshow(heat.numpy(), cmap="magma", vmin=0)
figure.colorbar(seen, ax=axes["map"], shrink=0.8)
axes["map"].set_title("R / sigma^2 of its blocks, nats per pixel", fontsize=10)
for name in ("marked", "map"):
    axes[name].set_axis_off()
order = values.argsort(descending=True).tolist()
axes["bars"].barh([list(variants)[i] for i in order], values[order].numpy() / x.numel())
axes["bars"].set_title("R / sigma^2 of the whole photograph, nats per pixel", fontsize=10)
plt.show()
