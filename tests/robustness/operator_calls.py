"""Calls of operators, data terms, image files and metrics, with right and odd arguments."""

import io
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import strategies as st
from odd import INF, NAN, arrays, counts, images, measured, mostly, numbers, pairs, words
from targets import keeps, per_image, target

import proxlab
from proxlab import calibrate, data_terms, metrics, operators
from proxlab import images as files
from proxlab.images import slices

SQUARE = ((8, 8),)


@target("operators.deblur", 16, "operators.CircularBlur operators.PaddedBlur")
def _deblur(draw):
    kernel = draw(arrays(np.ones((3, 3)) / 9, np.ones((1, 3)) / 3, np.eye(5) / 5))
    noise, x = draw(numbers(0.05)), draw(images(right=9))
    boundary, normalize = draw(words("circular", "valid", "reflect")), draw(st.booleans())

    def call():
        op = operators.deblur(kernel, noise, boundary, normalize)
        y = op(x)
        assert op.inside(x).shape == y.shape
        return y

    return call


@target("operators.inpaint", 16, "operators.MaskedPixels")
def _inpaint(draw):
    mask, x = (
        draw(arrays(np.ones((8, 8)), np.eye(8), np.ones((1, 8, 8)))),
        draw(images(sizes=SQUARE)),
    )
    noise = draw(numbers(0.05))
    return lambda: keeps(x, operators.inpaint(mask, noise)(x))


@target("operators.superres", 16, "operators.SubsampledBlur")
def _superres(draw):
    kernel = draw(st.one_of(st.none(), arrays(np.ones((2, 2)) / 4, np.ones((3, 3)) / 9)))
    factor, noise, x = draw(counts(2, 3)), draw(numbers(0.05)), draw(images(right=9))
    offset, normalize = draw(st.one_of(st.none(), numbers(0.0, 0.5))), draw(st.booleans())
    boundary = draw(words("circular", "reflect"))

    def call():
        op = operators.superres(factor, kernel, noise, offset, boundary, normalize)
        y = op(x)
        keeps(x, op.first_estimate(y))
        return keeps(x, op.A_adjoint(y))

    return call


@target("operators.denoise", 6, "operators.Unchanged")
def _denoise(draw):
    noise, x = draw(numbers(0.05)), draw(images())
    return lambda: keeps(x, operators.denoise(noise)(x))


@target("operators.ct", 20)
def _ct(draw):
    size, angles = draw(counts(8, 5)), draw(counts(1, 4))
    more = {
        "noise": numbers(0.05),
        "detectors": counts(9, 1),
        "detector_spacing": numbers(1.0),
        "pixel_spacing": numbers(1.0),
        "fan": st.tuples(numbers(20.0), numbers(40.0)),
    }
    names = draw(st.sets(st.sampled_from(sorted(more)), max_size=2))
    told = {name: draw(more[name]) for name in sorted(names)}
    if size > 100 or angles > 100 or told.get("detectors", 0) > 100:  # right, and large
        size, angles, told = 8, 4, {}
    x = draw(images(sizes=SQUARE))
    return lambda: operators.ct(size, angles, **told)(x)


@target("calibrate", 20, "Calibration")
def _calibrate(draw):
    noise, y = draw(numbers(0.05)), draw(images(sizes=((4, 12),)))
    unknown, within, tol = draw(words("detector_offset")), draw(numbers(4.0)), draw(numbers(0.2))
    return lambda: calibrate(y, operators.ct(8, 4, noise), unknown, within, tol)


@target("operators.sinogram", 16, "operators.Sinogram")
def _sinogram(draw):
    right = np.full((4, 6), 50.0)
    counts_ = draw(arrays(right, np.stack([right, right]), right.astype(np.int32)))
    flat = draw(arrays(np.full(6, 90.0), np.full((2, 6), 90.0), np.array(90.0)))
    told = draw(numbers(0.0)), draw(numbers(0.02)), draw(st.one_of(st.none(), numbers(1e3)))

    def call():
        found = operators.sinogram(counts_, flat, *told)
        assert bool(found.y.isfinite().all()) and found.y.ndim == 4
        return str(found.notes)

    return call


@target("operators.remove_rings", 8, "operators.remove_zingers")
def _remove_rings(draw):
    y, size, threshold = draw(images()), draw(counts(3, 9)), draw(numbers(5.0))

    def call():
        keeps(y, operators.remove_rings(y, size))
        return keeps(y, operators.remove_zingers(y, threshold))

    return call


@target("operators.gaussian_kernel")
def _gaussian_kernel(draw):
    sigma, even = draw(numbers(0.5, 1.0)), draw(st.booleans())
    return lambda: operators.gaussian_kernel(sigma, even)


@target("operators.psf", 20, "operators.MeasuredPsf")
def _psf(draw):
    spot = np.exp(-((np.arange(14) - 6.3) ** 2)[:, None] / 3 - (np.arange(12) - 5.8) ** 2 / 3)
    array = draw(arrays(spot, spot + 0.05, np.stack([spot, 2 * spot]), np.ones((9, 9)), spot[:6]))

    def call():
        found = operators.psf(array)
        assert bool((found.kernel >= 0).all()) and abs(float(found.kernel.sum()) - 1) < 1e-9
        return str(found)

    return call


@target("blur_width", 10, "operators.blur_width operators.BlurWidth")
def _blur_width(draw):
    x, noise = draw(images(sizes=((40, 33), (40, 33), (8, 8)))), draw(numbers(0.01, 0.3))
    told = draw(st.sampled_from([noise, None]))
    return lambda: per_image(x, proxlab.blur_width(x, told).width)


@target("operators.random_mask")
def _random_mask(draw):
    shape, missing = [draw(st.sampled_from([4, 4, 4, 4, 0, -1])), 4], draw(numbers(0.5, 0.0))
    return lambda: operators.random_mask(shape, missing)


@target("operators.box_mask")
def _box_mask(draw):
    box = draw(st.tuples(*[mostly((0, 1, 2, 4), (8, -1, 9), 12)] * 4))
    return lambda: operators.box_mask((8, 8), box)


@target("operators.boxes_mask")
def _boxes_mask(draw):
    side = draw(mostly((1, 2, 4), (0, -1, 9)))
    return lambda: operators.boxes_mask((8, 8), side)


@target("operators.noise_level")
def _noise_level(draw):
    op, _ = draw(measured())
    return lambda: operators.noise_level(op)


@target("operators.Noise")
def _noise(draw):
    sigma, x = draw(numbers(0.1)), draw(images())
    return lambda: operators.Noise(sigma)(x)


@target("operators.PhotonCounts")
def _photon_counts(draw):
    photons, attenuation = draw(numbers(1e4)), draw(numbers(0.1))
    x = draw(images(sizes=SQUARE))
    return lambda: operators.ct(8, 4, operators.PhotonCounts(photons, attenuation))(x)


@target("operators.CameraNoise", 12)
def _camera_noise(draw):
    gain, read, background = draw(numbers(0.1)), draw(numbers(0.0, 0.05)), draw(numbers(0.0, 0.1))
    x, tau = draw(images(sizes=SQUARE)), draw(numbers(0.01))

    def call():
        op = operators.inpaint(np.eye(8), operators.CameraNoise(gain, read, background))
        f = data_terms.data_term(op(x), op)
        per_image(x, f.value(x))
        return f.prox(x, tau)

    return call


@target("operators.anscombe", 8, "operators.inverse_anscombe")
def _anscombe(draw):
    x, gain, read = draw(images()), draw(numbers(0.1)), draw(numbers(0.0, 0.05))
    return lambda: operators.inverse_anscombe(operators.anscombe(x, gain, read), gain, read)


@target("operators.FanBeam")
def _fan_beam(draw):
    near, far = draw(numbers(20.0)), draw(numbers(40.0))
    return lambda: operators.FanBeam(near, far)


@target("operators.check_image", 8, "operators.check_finite")
def _check_image(draw):
    x = draw(images())
    return lambda: operators.check_finite(operators.check_image(x))


@target("data_terms.data_term", 30, "solvers.conjugate_gradient")
def _data_term(draw):
    op, x = draw(measured())
    noise = draw(st.one_of(st.none(), numbers(0.05)))
    strength, tau, tol = draw(numbers(1.0)), draw(numbers(0.1)), draw(numbers(1e-3))

    def call():
        y = op(x)
        f = data_terms.data_term(y, op, noise, strength, tol, max_steps=20)
        z = data_terms.start(y, op)
        per_image(z, f.value(z))
        f.grad(z)
        return f.prox(z, tau)

    return call


@target("metrics.psnr")
def _psnr(draw):
    x, other = draw(pairs())
    return lambda: per_image(x, metrics.psnr(x, other))


@target("images.slices.hounsfield_errors")
def _hounsfield_errors(draw):
    x, other = draw(pairs())
    return lambda: per_image(x, slices.hounsfield_errors(x, other).rmse)


@target("images.slices.soft_tissue_picture")
def _soft_tissue_picture(draw):
    x, other = draw(pairs())
    return lambda: slices.soft_tissue_picture(x, other)


@target("metrics.ssim")
def _ssim(draw):
    x, other = draw(pairs([(12, 13), (12, 13), (8, 8)]))
    return lambda: per_image(x, metrics.ssim(x, other))


@target("images.write_image", 20, "images.read_image")
def _write_image(draw):
    x, bits = draw(images()), draw(mostly((8, 16, 32), (7, 0)))
    name = draw(words("a.png", "a.tif", "a.npy", "a.jpg", "a", "a.gif", "a.dcm"))

    def call():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            files.write_image(path, x, bits)
            return files.read_image(path, unbounded=True)

    return call


STACKS = (np.ones((3, 8, 9), np.uint8), np.ones((2, 8, 9, 3), np.uint16), np.ones((8, 9), "f4"))
ODD_STACKS = (
    np.full((3, 8, 9), np.nan, "f4"),
    np.ones((3, 8, 9), np.int16),
    np.ones((3, 8, 9), np.complex64),
    np.ones((3, 8, 9), "f8") * 1e30,
    np.ones((3, 1, 1), np.uint8),
    np.ones((2, 8, 9, 5), np.uint8),
    np.ones((2, 3, 2, 8, 9), bool),
)


@target("images.list_pages", 12)
def _list_pages(draw):
    stack, name = draw(mostly(STACKS, ODD_STACKS, 2)), draw(mostly(("a.tif",), ("a.png", "none")))
    cut, byte = draw(counts(0, 0, 9, 400)), draw(st.integers(0, 500))
    scale = draw(mostly((None, (0.0, 1.0), (0, 9)), ((1, 0), (NAN, 1.0), (0.0, INF))))

    def call():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            if name != "none":
                data = io.BytesIO()
                colours = "rgb" if stack.shape[-1] == 3 else "minisblack"
                told = {} if byte % 2 else None
                tifffile.imwrite(data, stack, photometric=colours, metadata=told)
                written = bytearray(data.getvalue())
                if byte % 3 == 0:
                    written[byte] ^= 255
                path.write_bytes(written[: len(written) - cut if 0 < cut < 999 else None])
            return [files.read_image(page, scale=scale) for page in files.list_pages(path)]

    return call


@target("images.list_images", 3)
def _list_images(draw):
    folder = draw(words("/nowhere", "/dev/null"))
    return lambda: files.list_images(folder)
