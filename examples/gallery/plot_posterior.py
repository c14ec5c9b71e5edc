"""
Many answers to one measurement
===============================

A restored image is one answer. Where pixels are missing there are others that fit as well, and a
sampler of the posterior draws some: where they agree the measurement decided, where they differ it
did not.
"""

import matplotlib.pyplot as plt
import torch
from skimage.data import camera

import proxlab
from proxlab.images.metrics import psnr

# %%
# The measurement
# ---------------
# Of 64 x 64 pixels six tenths are missing, and the others are noisy.

x = torch.from_numpy(camera()[96:160, 200:264]).float()[None, None] / 255
mask = proxlab.operators.random_mask((64, 64), 0.6, torch.Generator().manual_seed(0))
op = proxlab.operators.inpaint(mask, noise=0.02)
y = op(x, generator=torch.Generator().manual_seed(1))

# %%
# Draws
# -----
# At each of ten falling levels noise is added to a draw, the prior's prox denoises it, and a
# Gaussian draw around that fits the measurement. Its covariance is the variance of the noise times
# the Jacobian of the prox. ``lpn-gray`` knows that Jacobian without autograd, and since its prox is
# exact it is symmetric and positive, as a covariance has to be.

post = proxlab.posterior(y, op, "lpn-gray", n=12, steps=10, seed=2)
print(f"{post.evaluations} evaluations a draw, {post.products} products with the Jacobian")

# %%
# Do the intervals hold?
# ----------------------
# The truth is known here, so one can count how often it lies within the interval of its pixel: 80 %
# of the time if the draws are right. Then the mean also errs by as much as they differ.

quality = proxlab.posterior_quality(post.samples, x)
restored = proxlab.restore(y, op, "lpn-gray").image
named = {"one draw": post.samples[0], "mean of all": post.mean, "restore": restored}
for name, image in named.items():
    print(f"{name:12s}{float(psnr(image, x)):6.2f} dB")
held, ratio = 100 * quality.coverage[0.8], quality.spread_over_error
print(f"intervals of 80 % hold {held:.0f} %, spread over error {ratio:.2f}")

# %%
# What to look for
# ----------------
# Single draws are sharp, and each invents its own hairs and glints; the mean has none of them and
# is as near to the truth as the restored image. The deviation is large in the hair, at the eye and
# at the edge of the camera, where few pixels are left to say what is there, and so is the error.
# The draws are as good as the prior: they show what ``lpn-gray`` holds for possible, and differ by
# a tenth less than they err.

figure, axes = plt.subplots(2, 4, figsize=(8, 4.4), layout="constrained")
names = ("measured", "a draw", "another draw", "a third", "truth", "mean of all")
shown = [y, *post.samples[:3], x, post.mean]
for ax, name, image in zip(axes.flat, names, shown, strict=False):
    ax.imshow(image[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=10)
error = (x - post.mean).abs()
for ax, name, image in ((axes[1, 2], "deviation", post.std), (axes[1, 3], "error of mean", error)):
    heat = ax.imshow(image[0, 0].numpy(), cmap="magma", vmin=0, vmax=0.15)
    ax.set_title(name, fontsize=10)
figure.colorbar(heat, ax=axes[1, 3], shrink=0.8)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
