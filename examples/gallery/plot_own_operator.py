"""
An operator of your own
=======================

Any ``LinearPhysics``: super-resolution by one of deepinv, and MRI with two coils in a dozen lines.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from deepinv.physics import Downsampling, LinearPhysics
from matplotlib.patches import Rectangle
from skimage.color import rgb2gray
from skimage.data import astronaut, shepp_logan_phantom
from skimage.transform import resize

import proxlab
from proxlab.images.metrics import psnr


# %%
# Two coils
# ---------
# A coil sees the image times its sensitivity, of whose Fourier transform some lines are measured.
# Complex numbers are pairs of real ones. ``restore`` refuses an ``A_adjoint`` that is no adjoint.
class TwoCoils(LinearPhysics):
    def __init__(self, coils, lines):
        super().__init__()
        self.coils, self.lines = coils, lines

    def A(self, x, **_):
        return torch.view_as_real(torch.fft.fft2(self.coils * x, norm="ortho") * self.lines)

    def A_adjoint(self, y, **_):
        seen = torch.fft.ifft2(torch.view_as_complex(y) * self.lines, norm="ortho")
        return (self.coils.conj() * seen).sum(1, keepdim=True).real


generator = torch.Generator().manual_seed(0)
r = torch.linspace(-1, 1, 128)
coils = torch.stack([torch.exp(-((r + c) ** 2) / 1.5 + 1j * c * r[:, None]) for c in (-1.0, 1.0)])
lines = torch.rand(128, 1, generator=generator) < 0.2
lines[:8] = lines[-8:] = True  # low frequencies, where most of the energy is
mri = TwoCoils(coils[None], lines)

# %%
# Super-resolution
# ----------------
# The photograph is smoothed and every second pixel kept, along both axes.

half = Downsampling(img_size=(1, 128, 128), factor=2, filter="gaussian", padding="circular")
photo = torch.from_numpy(rgb2gray(astronaut()[48:176, 160:288])).float()[None, None]
phantom = torch.from_numpy(resize(shepp_logan_phantom(), (128, 128)))[None, None].float()

# %%
# One call for both
# -----------------
# Neither operator knows its noise, so ``restore`` is told.


def restored(name, y, op, prior):
    result = proxlab.restore(y, op, prior, noise=0.01)
    print(f"{name}, {prior}: {'' if result.certified[0] else 'not '}certified {result.doubts[0]}")
    return result.image


def noisy(y):
    return y + 0.01 * torch.randn(y.shape, generator=generator)


y = noisy(half.A(photo))
cubic = F.interpolate(y, size=127, mode="bicubic", align_corners=True)
cubic = F.pad(cubic, (0, 1, 0, 1), mode="replicate")  # pixel i of y is pixel 2 i of the photograph
learned = restored("super-resolution", y, half, "lpn-gray")
rows = [{"measured": y, "cubic": cubic, "lpn-gray": learned, "truth": photo}]

y = noisy(mri.A(phantom))
found = {prior: restored("MRI", y, mri, prior) for prior in ("tv", "lpn-gray")}
filled = {"zero-filled": mri.A_adjoint(y) / coils.abs().square().sum(0)}
rows.append(filled | found | {"truth": phantom})

# %%
# What to look for
# ----------------
# Eyes and mouth in the upper row; streaks in the hair are no hairs. Below, from 0 to 0.5, the three
# small ellipses at the bottom of the head, which aliasing hides where missing lines are zero. The
# phantom is flat and gains more than a patient would; no prior mends an error in the coils.

figure, axes = plt.subplots(3, 4, figsize=(8, 6), height_ratios=(1, 1, 0.7), layout="constrained")
for row, shown, white in zip(axes, rows, (1, 0.5), strict=False):
    for ax, (name, image) in zip(row, shown.items(), strict=True):
        ax.imshow(image[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=white)
        if name not in ("measured", "truth"):
            print(name := f"{name}, {float(psnr(image, shown['truth'])):.2f} dB")
        ax.set_title(name, fontsize=10)
for whole, near, image in zip(axes[1], axes[2], rows[1].values(), strict=True):
    near.imshow(image[0, 0, 92:114, 48:80].numpy(), cmap="gray", vmin=0, vmax=0.5)
    whole.add_patch(Rectangle((48, 92), 31, 21, fill=False, color="tab:orange"))
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
