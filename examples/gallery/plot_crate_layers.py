"""
CRATE, layer by layer
=====================

A CRATE is a white-box transformer: each layer was derived as a step that compresses tokens into a
few subspaces, then one that makes their codes sparse. Do trained layers do what they were derived
for?
"""

import matplotlib.pyplot as plt
import torch
from skimage.data import camera

import proxlab
from proxlab.images.metrics import psnr
from proxlab.priors.crate.denoiser import CrateDenoiser
from proxlab.priors.crate.layer_rates import layer_rates

# %%
# Two networks
# ------------
# ``crate-gray`` was trained to denoise, by the squared error alone: nothing in the loss asks for
# compression or sparsity. Beside it is the same network with the random weights it started from.

SIGMA = 25 / 255
x = torch.from_numpy(camera()[60:252, 140:332]).float()[None, None] / 255
v = x + SIGMA * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
trained = proxlab.load("crate-gray")
start = CrateDenoiser(trained.config, trained.sigma_range).requires_grad_(False).eval()
with torch.no_grad():
    denoised = trained.prox(v, SIGMA)
print(f"noisy {float(psnr(v, x)):.2f} dB, denoised {float(psnr(denoised, x)):.2f} dB")

# %%
# Compression and sparsity
# ------------------------
# The coding rate R^c is the number of nats that tokens need in the layer's own subspaces: attention
# should lower it. The share of numbers in the codes that are not 0 is what the second half of a
# layer should lower.

curves = {}
for name, network in (("trained", trained), ("untrained", start)):
    found = layer_rates(network, v, SIGMA)
    curves[name] = [[float(a.compressed) for a in found], [100 * float(a.nonzero) for a in found]]
    rate, nonzero = ([f"{n:.0f}" for n in column] for column in curves[name])
    print(f"{name:10s}R^c {' '.join(rate)} nats, non-zero {' '.join(nonzero)} %")

# %%
# What the codes look like
# ------------------------
# A code has 128 numbers for each patch of the image. Their three principal components become red,
# green and blue.


def as_colours(codes):
    tokens = codes.flatten(0, 1) - codes.flatten(0, 1).mean(0)
    axes = torch.linalg.svd(tokens, full_matrices=False).Vh[:3]
    low, high = (tokens @ axes.T).quantile(torch.tensor([[0.02], [0.98]])[:, 0], 0)
    return ((tokens @ axes.T - low) / (high - low)).clamp(0, 1).view(*codes.shape[:2], 3)


with torch.no_grad():
    layers = [as_colours(layer.codes[0]) for layer in trained.encode(v, SIGMA)]

# %%
# What to look for
# ----------------
# Trained, R^c falls by half; with random weights it stays. Sparsity is no evidence of learning: the
# untrained codes are the sparser ones. Nor does every trained layer lower both: see where a curve
# turns up. In the colours edges come first; by the last layer man and sky differ, and parts of the
# face and the camera share a colour: a hint of segments, no segmentation. Colours of different
# layers cannot be compared. This is one photograph at one noise level.

figure, axes = plt.subplots(2, 4, figsize=(8, 4.7), layout="constrained")
for ax, (title, image) in zip(axes[0], (("noisy", v), ("denoised", denoised)), strict=False):
    ax.imshow(image[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{title}, {float(psnr(image, x)):.2f} dB", fontsize=10)
for ax, k in zip((axes[0, 2], axes[0, 3], axes[1, 0], axes[1, 1]), (0, 1, 3, 5), strict=True):
    ax.imshow(layers[k].numpy())
    ax.set_title(f"codes after layer {k + 1}", fontsize=10)
for ax in axes.flat[:6]:
    ax.set_axis_off()
for ax, k, title in ((axes[1, 2], 0, "R^c, nats"), (axes[1, 3], 1, "non-zero, %")):
    for name, columns in curves.items():
        ax.plot(range(1, len(layers) + 1), columns[k], "o-", label=name)
    ax.set(xlabel="layer", ylim=(0, None), box_aspect=1)
    ax.set_title(title, fontsize=10)
axes[1, 2].legend()
plt.show()
