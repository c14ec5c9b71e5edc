"""
ADMM of deepinv with a prior that knows its value
=================================================

Our priors run in deepinv's own algorithms: as an explicit prior, whose cost deepinv then reports,
and as a plug-and-play denoiser. A recorder around any denoiser says afterwards what the run was.
"""

import deepinv
import matplotlib.pyplot as plt
import torch
from deepinv.optim import ADMM, PnP
from deepinv.optim.data_fidelity import L2
from skimage.data import coins

import proxlab
from proxlab.images.metrics import psnr

# %%
# The measurement, by deepinv alone
# ---------------------------------
# An operator of proxlab is a deepinv ``LinearPhysics`` and the other way round.

NOISE = 0.02
x = torch.from_numpy(coins()[20:148, 20:148]).float()[None, None] / 255
kernel = deepinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6))
physics = deepinv.physics.BlurFFT((1, 128, 128), filter=kernel)
y = physics.A(x) + NOISE * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))

# %%
# As an explicit prior
# --------------------
# ``g_param`` is the noise level s of the prior. A learned prox is that of R_s and of no multiple,
# so ``lambda_reg`` times ``stepsize`` is 1; anything else is refused. s just below the noise meets
# the theorem of ADMM, that the step be below one over the data term's Lipschitz constant.

s, prior = 0.9 * NOISE, proxlab.load("lpn-gray")
settings = {"stepsize": s**2, "g_param": s, "max_iter": 40, "beta": 1.0}
explicit = ADMM(L2(NOISE), proxlab.ExplicitPrior(prior), lambda_reg=1 / s**2, **settings)
with torch.no_grad():
    restored, metrics = explicit(y, physics, x_gt=x, compute_metrics=True)
cost = torch.tensor(metrics["cost"][0])
print(f"cost {float(cost[1]):.0f} after the first step, {float(cost[-1]):.0f} after the last")
print(f"its largest rise over a step is {float(cost[1:].diff().max()):.3g}")

# %%
# As a denoiser, recorded
# -----------------------
# Plug-and-play knows no cost. The recorder keeps what was asked and answered, for any denoiser:
# here ours, and ``unet-gray``, a network without any constraint.

shown = {"measured": y, "lpn-gray, explicit": restored}
for name in ("lpn-gray", "unet-gray"):
    recorder = proxlab.Recorder(proxlab.load(name))
    with torch.no_grad():
        shown[f"{name}, plug-and-play"] = ADMM(L2(NOISE), PnP(recorder), **settings)(y, physics)
    found = recorder.evidence()[0]
    print(
        f"{name}: {found.evaluations} evaluations, {len(found.steps)} tested, margin "
        f"{found.margin:.2f}, so {'' if found.exact else 'not '}those of one exact prox; "
        f"of a convex R: {found.convex_margin >= 0}"
    )
for name, image in shown.items():
    print(f"{name:26s}{float(psnr(image, x)):6.2f} dB")
shown["truth"] = x

# %%
# What to look for
# ----------------
# The first two restorations are one algorithm told in two ways, and agree. The curve is the cost
# that deepinv reports, above its last value: what plug-and-play cannot draw. The U-Net is the prox
# of something too *in this run*; in another it need not be. R of a learned prior is not convex, so
# the limit may depend on the start, and it is a critical point, not the best of all images.

figure, axes = plt.subplots(2, 3, figsize=(8, 5.8), layout="constrained")
curve, *rest = axes.flat[::-1]
for ax, (name, image) in zip(rest[::-1], shown.items(), strict=True):
    ax.imshow(image[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    score = "" if image is x else f"\n{float(psnr(image, x)):.2f} dB"
    ax.set_title(name + score, fontsize=10)
    ax.set_axis_off()
curve.semilogy(range(1, len(cost) - 1), (cost[1:-1] - cost[-1]).numpy())
curve.set_title("lpn-gray, explicit\ncost above its last value", fontsize=10)
curve.set(xlabel="step", box_aspect=1)
curve.grid(alpha=0.3)
plt.show()
