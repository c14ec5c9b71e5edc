"""
A prior of your own pictures
============================

The networks that ship with proxlab have seen photographs. A scanned page of a book is none. A
quarter of a minute of training on a part of the page makes a prior that knows letters better.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image
from skimage.data import page

import proxlab
from proxlab.images.metrics import psnr
from proxlab.images.stored import open_gray
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.training.config import TrainConfig
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Denoising, untrained_lpn

# %%
# A folder of pictures
# --------------------
# Ours has one: the left part of the page. The right part is for the test, and is never trained on.

folder = Path(tempfile.mkdtemp())
(folder / "pages").mkdir()
Image.fromarray(page()[:, :240]).save(folder / "pages" / "left.png")
x = torch.from_numpy(page()[:190, 248:384].copy()).float()[None, None] / 255

# %%
# Training
# --------
# A recipe says what is trained, and how: here a small exact prox, on noisy patches of the pictures.
# On the command line ``proxlab train lpn-gray --data pages --minutes 30`` trains the network
# of ``lpn-gray`` in half an hour, which is larger and better than this one.

size = MixtureConfig(components=8, bases=2, coarse_components=8)
plan = TrainConfig(steps=200, patch=32, ema=0.98)
recipe = Recipe("letters", "a page", Denoising(open_gray, untrained_lpn), size, plan)
path = recipe(folder / "pages", folder / "run")
print("wrote", path.name, "and its card", path.with_suffix(".json").name)

# %%
# Three restorations
# ------------------
# Six pixels in ten of the right part are missing, and the others are noisy. The weights are
# those by default, so none of the three was tuned on this page.

mask = proxlab.operators.random_mask(x.shape[-2:], 0.6, torch.Generator().manual_seed(0))
op = proxlab.operators.inpaint(mask, noise=0.02)
y = op(x, generator=torch.Generator().manual_seed(1))
shown = {"measured": y}
for name, prior in (("tv", "tv"), ("lpn-gray", "lpn-gray"), ("letters", proxlab.load(path))):
    result = proxlab.restore(y, op, prior)
    shown[name] = result.image
    verdict = "certified" if result.certified[0] else f"not certified: {result.doubts[0]}"
    print(f"{name:9s}{float(psnr(result.image, x)):6.2f} dB, {verdict}")
shown["truth"] = x

# %%
# What to look for
# ----------------
# Read the words: total variation breaks the strokes, ``lpn-gray`` smears over the gaps, and the
# network of letters closes more of them, with a fifth of the parameters of ``lpn-gray``. It is a
# prior for this page and those like it, and no better elsewhere. It is certified as the others are:
# the network is an exact prox before the first step of training and after the last.

figure, axes = plt.subplots(2, 5, figsize=(8, 4), height_ratios=[2, 1], layout="constrained")
for (whole, near), (name, image) in zip(axes.T, shown.items(), strict=True):
    for ax, part in ((whole, image), (near, image[..., 84:132, 20:88])):
        ax.imshow(part[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_axis_off()
    score = "" if image is x else f"\n{float(psnr(image, x)):.2f} dB"
    whole.set_title(name + score, fontsize=10)
plt.show()
