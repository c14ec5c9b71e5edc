"""
Many answers to one measurement
===============================

A restored image is one answer. Where pixels are missing there are others that fit as well, and a
sampler of the posterior draws some: where they agree the measurement decided, where they differ it
did not.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage.data import camera

import proxlab
import solvers
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

prior, n = proxlab.load("lpn-gray"), 12
covariance = solvers.JacobianCovariance(
    linearize=lambda v, sigma: (prior.prox(v, sigma), prior.jacobian(v, sigma))
)
observation = solvers.LinearObservation(
    op.A, op.A_adjoint, y.repeat(n, 1, 1, 1), variance=0.02**2, tol=0.1
)
first = proxlab.data_terms.start(y, op).repeat(n, 1, 1, 1)
levels, seeded = np.geomspace(0.2, 0.03, 10), torch.Generator().manual_seed(2)
with torch.no_grad():
    states = solvers.posterior(
        prior.prox, observation, first, levels, covariance=covariance, noise=seeded
    )
    *_, last = states
draws = last.x
mean, deviation = draws.mean(0, keepdim=True), draws.std(0, keepdim=True)

# %%
# Do the intervals hold?
# ----------------------
# The truth is known here, so one can count how often it lies within 1.28 deviations of the mean:
# 80 % of the time if the spread is right. A mean of n draws errs itself, by one part in n.

error = (x - mean).abs()
wide = deviation * (1 + 1 / n) ** 0.5
restored = proxlab.restore(y, op, prior).image
for name, image in {"one draw": draws[:1], "mean of all": mean, "restore": restored}.items():
    print(f"{name:12s}{float(psnr(image, x)):6.2f} dB")
held = float((error < 1.2816 * wide).double().mean())
ratio = float((wide.square().mean() / error.square().mean()).sqrt())
print(f"intervals of 80 % hold {100 * held:.0f} %, spread over error {ratio:.2f}")

# %%
# What to look for
# ----------------
# Single draws are sharp, and each invents its own hairs and glints; the mean has none of them and
# is nearest to the truth. The deviation is large in the hair, at the eye and at the edge of the
# camera, where few pixels are left to say what is there, and so is the error. The draws are as good
# as the prior: they show what ``lpn-gray`` holds for possible. Their intervals are a little narrow.

figure, axes = plt.subplots(2, 4, figsize=(8, 4.4), layout="constrained")
names = ("measured", "a draw", "another draw", "a third", "truth", "mean of all")
for ax, name, image in zip(axes.flat, names, [y, *draws[:3].split(1), x, mean], strict=False):
    ax.imshow(image[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=10)
for ax, name, image in ((axes[1, 2], "deviation", deviation), (axes[1, 3], "error of mean", error)):
    heat = ax.imshow(image[0, 0].numpy(), cmap="magma", vmin=0, vmax=0.15)
    ax.set_title(name, fontsize=10)
figure.colorbar(heat, ax=axes[1, 3], shrink=0.8)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
