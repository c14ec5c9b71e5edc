"""The projection matrix of a CT scan and its transpose, sparse, built once and kept in memory.

Both are CSR with 32-bit indices: a transposed product on a CPU is many times slower than a second
copy, and so are 64-bit indices. Operators of one scan share one matrix, for as long as one of them
lives.
"""

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from weakref import WeakValueDictionary

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from proxlab.operators.tomography import footprints
from proxlab.operators.tomography.scan import ParallelBeam, Scan
from proxlab.operators.tomography.symmetry import ViewPlan, plan
from solvers.progress import on_terminal, progress_bar

COLUMNS, PIXELS = 16, 2**21
"""Columns that are multiplied at a time, at most, and their pixels in all; a turned image is a
column too. More would not stay in a CPU's cache."""
MOST_ENTRIES = 2**31 - 1
"""Entries that 32-bit indices can count."""
SHOWN = 5e7
"""Entries from which building takes some seconds, and shows its progress on a terminal."""
Model = Callable[[Scan, int], csr_matrix]
"""`footprints.strips` or `footprints.lines`."""
_kept: "WeakValueDictionary[tuple, ProjectionMatrix]" = WeakValueDictionary()


class ProjectionMatrix:
    """A and A^T for images [n, H, W] and sinograms [n, V, D] on one device, in one dtype.

    Nothing in it changes, so that copies of an operator share it.
    """

    def __init__(self, scan: Scan, model: Model, dtype: torch.dtype, device: torch.device):
        self.scan, self.plan = scan, plan(scan)
        _check_memory(scan, self.plan, model, dtype, device)
        a = _stored(scan, self.plan, model, dtype)
        self.entries = a.nnz
        self.there, self.back = _tensor(a, device), _tensor(a.T.tocsr(), device)
        self._view = torch.from_numpy(self.plan.view).to(device)
        self._turn = torch.from_numpy(self.plan.turn).to(device)

    def __deepcopy__(self, memo) -> "ProjectionMatrix":
        return self

    @property
    def bytes(self) -> int:
        """Memory of both matrices."""
        return 2 * self.entries * (4 + self.there.values().element_size())

    def project(self, x: Tensor) -> Tensor:
        """A x, [n, H, W] -> [n, V, D]."""
        return torch.cat([self._project(some) for some in x.split(self._at_once)])

    def backproject(self, y: Tensor) -> Tensor:
        """A^T y, [n, V, D] -> [n, H, W]."""
        return torch.cat([self._backproject(some) for some in y.split(self._at_once)])

    def _project(self, x: Tensor) -> Tensor:
        turns, n = self.plan.turns, len(x)
        columns = x.new_empty(*x.shape[1:], n, len(turns))
        for k, turn in enumerate(turns):
            columns[..., k] = turn.there(x).movedim(0, -1)
        y = _product(self.there, columns.flatten(0, 1).flatten(1))
        y = y.view(len(self.plan.stored), self.scan.detectors, n, len(turns))
        return y.permute(2, 3, 0, 1)[:, self._turn, self._view]

    def _backproject(self, y: Tensor) -> Tensor:
        turns, n = self.plan.turns, len(y)
        by_turn = y.new_zeros(n, len(turns), len(self.plan.stored), self.scan.detectors)
        by_turn[:, self._turn, self._view] = y
        x = _product(self.back, by_turn.permute(2, 3, 0, 1).reshape(self.back.shape[1], -1))
        x = x.view(self.scan.height, self.scan.width, n, len(turns)).permute(3, 2, 0, 1)
        return reduce(torch.add, (turn.back(x[k]) for k, turn in enumerate(turns)))

    @property
    def _at_once(self) -> int:
        """Images, times turns columns."""
        columns = min(COLUMNS, PIXELS // (self.scan.height * self.scan.width))
        return max(1, columns // len(self.plan.turns))


def projection_matrix(
    scan: Scan, model: Model, dtype: torch.dtype, device: torch.device
) -> ProjectionMatrix:
    """The matrix of the scan, built unless it is in memory; MemoryError if it would not fit.

    Raises ValueError for an Apple GPU.
    """
    if device.type == "mps":
        raise ValueError(
            "CT multiplies by sparse matrices, which an Apple GPU does not; use the CPU"
        )
    key = (scan, model, dtype, str(device))
    made = _kept.get(key)
    if made is None:
        _kept[key] = made = ProjectionMatrix(scan, model, dtype, device)
    return made


def expected_entries(scan: Scan, views: int, model: Model) -> float:
    """Estimate of how many entries so many views have."""
    if model is footprints.lines:
        return 2.0 * views * scan.detectors * max(scan.height, scan.width)
    magnified = 1.0
    if not isinstance(scan.beam, ParallelBeam):
        magnified = scan.beam.source_to_detector / scan.beam.source_to_axis
    width = 4 / math.pi * magnified * scan.pixel_spacing / scan.detector_spacing
    return views * scan.height * scan.width * (1 + width)


def _check_memory(
    scan: Scan, plan: ViewPlan, model: Model, dtype: torch.dtype, device: torch.device
) -> None:
    entries = expected_entries(scan, len(plan.stored), model)
    wanted = 2 * entries * (4 + dtype.itemsize)
    # Built in the memory of the CPU, wherever it goes.
    free = min(_free_memory(place) for place in {device, torch.device("cpu")})
    if entries <= MOST_ENTRIES and wanted <= free:
        return
    limit = f"{free / 1e9:.1f} GB are free" if wanted > free else "32-bit indices count 2.1e9"
    raise MemoryError(
        f"a projection matrix for {scan.height} x {scan.width} pixels, {len(scan.angles)} views "
        f"and {scan.detectors} detectors has {entries:.2g} entries, {wanted / 1e9:.1f} GB, and "
        f"{limit}; take fewer views or pixels, or deepinv's TomographyWithAstra, which stores no "
        "matrix"
    )


def _free_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            return math.inf  # no system known here tells


def _stored(scan: Scan, plan: ViewPlan, model: Model, dtype: torch.dtype) -> csr_matrix:
    """[stored views * detectors, H W], rows view by view."""
    partial = replace(scan, angles=plan.stored)
    kind = np.float64 if dtype == torch.float64 else np.float32
    counts, indices, values = [np.zeros(1, np.int64)], [], []
    long = expected_entries(scan, len(plan.stored), model) > SHOWN and on_terminal()
    label, views = "projection matrix", len(plan.stored)
    with progress_bar(long, views, unit="view", label=label, leave=False) as bar:
        for view in range(len(plan.stored)):
            part = model(partial, view)
            counts.append(np.diff(part.indptr))
            indices.append(part.indices.astype(np.int32))
            values.append(part.data.astype(kind))
            bar.update()
    ends = np.cumsum(np.concatenate(counts))
    shape = (len(ends) - 1, scan.height * scan.width)
    if ends[-1] > MOST_ENTRIES:
        raise MemoryError(f"a projection matrix of {ends[-1]} entries is more than 32 bits count")
    ends = ends.astype(np.int32)
    return csr_matrix((np.concatenate(values), np.concatenate(indices), ends), shape=shape)


def _tensor(matrix: csr_matrix, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "beta state", once a process
        parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(*parts, size=matrix.shape).to(device)


def _product(matrix: Tensor, columns: Tensor) -> Tensor:
    return matrix @ columns if columns.shape[1] > 1 else (matrix @ columns[:, 0])[:, None]
