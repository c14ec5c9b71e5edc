"""
A denoiser of your own, with evidence
=====================================

Plug-and-play puts any denoiser in the place of a prior. Sometimes that is an algorithm with a
limit, sometimes it is not. ``restore`` watches the denoiser's answers and tells the two apart.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from skimage.data import camera
from skimage.restoration import denoise_nl_means
from torch import nn

import proxlab
from proxlab.images.metrics import psnr


# %%
# Three denoisers
# ---------------
# Each is an ``nn.Module`` called as ``net(v, sigma)``. The first shrinks the cosine coefficients of
# all 8 x 8 blocks and averages the blocks. The second averages pixels whose surroundings are alike.
# The third takes the median of nine pixels, whatever the noise.
class Cosines(nn.Module):
    def __init__(self):
        super().__init__()
        rows = torch.from_numpy(scipy.fft.dct(np.eye(8), norm="ortho", axis=0)).float()
        self.blocks = torch.einsum("ai,bj->abij", rows, rows).reshape(64, 1, 8, 8)

    def forward(self, v, sigma):
        z = F.conv2d(F.pad(v, [7] * 4, mode="circular"), self.blocks)
        shrunk = F.softshrink(z[:, 1:], 1.5 * float(sigma))
        z = torch.cat([z[:, :1], shrunk], 1)  # means are left as they are
        return F.conv_transpose2d(z, self.blocks)[..., 7:-7, 7:-7] / 64


class NonLocalMeans(nn.Module):
    def forward(self, v, sigma):
        s, image = float(sigma), v[0, 0].double().numpy()
        found = denoise_nl_means(image, 5, 6, h=0.8 * s, sigma=s)
        return torch.from_numpy(found).to(v)[None, None]


class Median(nn.Module):
    def forward(self, v, sigma):
        around = F.pad(v, [1] * 4, mode="reflect").unfold(2, 3, 1).unfold(3, 3, 1)
        return around.flatten(-2).median(-1).values


# %%
# The test
# --------
# From its answers alone follows whether one function R exists of which they all are the exact prox.
# The margin says by how much: at 0 or above there is such an R, and the theorems on ADMM apply;
# below 0 there is none, and nothing is known of where the run goes.

x = torch.from_numpy(camera()[70:198, 180:308]).float()[None, None] / 255
op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.2), noise=0.02)
y = op(x, generator=torch.Generator().manual_seed(0))
shown, margins = {"measured": y}, {}
for denoiser in (Cosines(), NonLocalMeans(), Median()):
    result = proxlab.restore(y, op, denoiser, steps=80)
    name = type(denoiser).__name__
    shown[name], margins[name] = result.image, result.evidence[0].margin
    verdict = "certified" if result.certified[0] else f"not certified: {result.doubts[0]}"
    print(f"{name}: {float(psnr(result.image, x)):.2f} dB, margin {margins[name]:.2f}; {verdict}")

# %%
# What to look for
# ----------------
# The cosines are certified: shrinking is a prox, and so is an average of proxes. Non-local means
# has the better picture here and no certificate: its weights depend on the image in a way that no R
# explains, and the run does not come to rest. Plug-and-play does not warn of the median either, and
# there it ends far from any image. A certificate is no prize for quality, and its lack no proof of
# harm; it says whether the run can be reasoned about. Titles are red where the margin is below 0.

figure, axes = plt.subplots(1, 5, figsize=(8, 2.5), layout="constrained")
shown["truth"] = x
for ax, (name, image) in zip(axes, shown.items(), strict=True):
    ax.imshow(image[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    score = "" if image is x else f"\n{float(psnr(image, x)):.2f} dB"
    margin = f"\nmargin {margins[name]:.2f}" if name in margins else ""
    color = "tab:red" if margins.get(name, 0) < 0 else "black"
    ax.set_title(name + score + margin, fontsize=10, color=color)
    ax.set_axis_off()
plt.show()
