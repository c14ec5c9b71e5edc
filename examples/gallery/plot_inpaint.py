"""
Half the pixels missing
=======================

Half of the pixels, chosen at random, are lost, and the others are noisy. What a prior knows about
images fills the gaps.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle
from skimage.color import rgb2gray
from skimage.data import astronaut

import proxlab
from proxlab.images.metrics import psnr, ssim

# %%
# The measurement
# ---------------
# A mask is 1 where a pixel was seen. ``random_mask`` draws one; any array of zeros and ones serves.

x = torch.from_numpy(rgb2gray(astronaut()[24:184, 146:306])).float()[None, None]
mask = proxlab.operators.random_mask((160, 160), 0.5, torch.Generator().manual_seed(0))
op = proxlab.operators.inpaint(mask, noise=0.01)
y = op(x, generator=torch.Generator().manual_seed(1))

# %%
# Three ways to fill in
# ---------------------
# ``wavelets`` and ``tv`` are classical: few wavelet coefficients, few edges. ``lpn-gray`` was
# learned from noisy photographs, none of which had a pixel missing; the same network deblurs.

shown = {"measured": y}
for prior in ("wavelets", "tv", "lpn-gray"):
    result = proxlab.restore(y, op, prior)
    shown[prior] = result.image
    verdict = "certified" if result.certified[0] else f"not certified: {result.doubts[0]}"
    print(f"{prior}: {int(result.steps)} steps, {verdict}; {result.evidence[0].brief}")
for name, image in shown.items():
    print(f"{name:10s}{float(psnr(image, x)):6.2f} dB, SSIM {float(ssim(image, x)):.3f}")
shown["truth"] = x

# %%
# What to look for
# ----------------
# The eyes and the line of the hair. Wavelets leave the mask visible as speckle; this result is
# certified all the same, since it *is* the minimiser for wavelets, which is a poor description of a
# face. Total variation is clean but makes stairs of slow shades, on the cheek above all. The
# learned prior follows thin lines across missing pixels. The spot of light in the eye on the right
# fell on lost pixels, and no prior brings it back: what is smaller than the gaps is guessed, and
# nothing in the picture tells a guess from a measurement.

figure, axes = plt.subplots(2, 5, figsize=(8, 3.7), layout="constrained")
for (whole, near), (name, image) in zip(axes.T, shown.items(), strict=True):
    for ax, part in ((whole, image), (near, image[..., 40:104, 46:110])):
        ax.imshow(part[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_axis_off()
    whole.add_patch(Rectangle((46, 40), 63, 63, fill=False, color="tab:orange"))
    score = "" if image is x else f"\n{float(psnr(image, x)):.2f} dB"
    whole.set_title(name + score, fontsize=10)
plt.show()
