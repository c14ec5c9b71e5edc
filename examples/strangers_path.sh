#!/usr/bin/env bash
# The path of a stranger who has read the README and nothing else, step by step, each timed:
# install and demo, a photograph of one's own, a denoiser of one's own.
#
#   cd CLONE && examples/strangers_path.sh [photo.png]
#
# In a fresh clone; the PNG is any image, and made up where none is given. Ends at the first step
# that fails. tests/examples/test_strangers_path.py holds its commands against the README.
set -euo pipefail

own_photo="${1:-}"
[ -z "$own_photo" ] || cp "$own_photo" photo.png
[ ! -e env ] || { echo "env is there already; take a fresh clone"; exit 1; }
begun=$SECONDS

finished() { # name of a step: seconds of it, and since the beginning
    printf '== %s: %d s, %d s in all\n' "$1" "$((SECONDS - step_begun))" "$((SECONDS - begun))"
    step_begun=$SECONDS
}
step_begun=$SECONDS

# 1. One command: install, and restore what ships with the packages.
python3 -m venv env && env/bin/pip install -q . && env/bin/proxlab demo
finished "install and demo"

# 2. A photograph, blurred by 1.6 pixels, whose noise nobody knows.
export PATH="$PWD/env/bin:$PATH"
[ -e photo.png ] || python - <<'PHOTO'
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.data import camera

noise = np.random.default_rng(0).normal(scale=2.0, size=(512, 512))
blurred = gaussian_filter(camera().astype(float), 1.6) + noise
Image.fromarray(blurred.clip(0, 255).round().astype(np.uint8)).save("photo.png")
PHOTO
proxlab restore photo.png deblur --blur-sigma 1.6 --noise auto
finished "a photograph of one's own"

# 3. A denoiser of one's own in the prior's place.
cat >own.py <<'OWN'
import torch, proxlab
from skimage.data import camera

x = torch.from_numpy(camera() / 255).float()[None, None]  # [B, C, H, W] in [0, 1]
mask = proxlab.operators.random_mask(x.shape[-2:], 0.7)
op = proxlab.operators.inpaint(mask, noise=0.01)  # deblur, ct, or any LinearPhysics of deepinv
y = op(x)


class Mean(torch.nn.Module):
    def forward(self, v, sigma):
        return (v + torch.nn.functional.avg_pool2d(v, 3, 1, 1)) / 2


result = proxlab.restore(y, op, Mean(), steps=100)
print(result.certified, result.doubts)
OWN
python own.py
finished "a denoiser of one's own"
