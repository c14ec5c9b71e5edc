"""A phantom in several kinds of files, its sinograms, and what tells of them, for tests of ct."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

from proxlab.images import write_image
from proxlab.operators import ct
from proxlab.operators.tomography.scan import FanBeam
from proxlab.operators.tomography.sinograms import write_sinogram

PIXELS = 0.1 + 0.5 * resize(shepp_logan_phantom(), (32, 32), anti_aliasing=True)
FAST = "--steps 3 --prior none --quiet --device cpu"
SCAN = "ct --simulate --angles 12 --noise 0.2"


def make_ct_files() -> None:
    """Write them into the working folder."""
    x = torch.from_numpy(PIXELS).float()[None, None]
    for name, bits in (("x.png", 16), ("byte.png", 8), ("x.tif", 32), ("x.npy", 32)):
        write_image(name, x, bits)
    Image.fromarray(np.rint(PIXELS * 4095).astype(np.uint16)).save("slice.png")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save("colour.png")
    Image.fromarray(np.zeros((30, 32), np.uint8)).save("oblong.png")
    op = ct(32, 12, noise=0.2)
    y = op(x, generator=torch.Generator().manual_seed(1))
    write_sinogram("y.npy", y, op.scan, 0.2)
    write_sinogram("clean.npy", op.A(x), op.scan, 0.0)
    fan = ct(32, 12, detectors=70, fan=FanBeam(80.0, 120.0))
    write_sinogram("fan.npy", fan.A(x), fan.scan)
    write_sinogram("hu.npy", op.A(4095 * x - 1024), op.scan, 0.2)
    np.save("bare.npy", y[0, 0].numpy())
    np.save("turned.npy", y[0, 0].numpy().T)
    np.save("nan.npy", y[0, 0].numpy() * np.nan)
    np.savetxt("even.txt", op.scan.angles, fmt="%.4f")
    np.savetxt("uneven.txt", np.arange(12.0) ** 1.5)
    Path("uneven.csv").write_text(",".join(f"{a}" for a in np.arange(12.0) ** 1.5))
    np.save("radians.npy", np.radians(op.scan.angles))
    Path("words.txt").write_text("zero one")
    Path("empty.txt").write_text("\n")
    Path("broken.npy").write_bytes(Path("y.npy").read_bytes())
    Path("broken.json").write_text("{")
