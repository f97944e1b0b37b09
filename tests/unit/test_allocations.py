"""A window is computed in memory that is there already: what is allocated for it is what it comes down to."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba.core.runtime import _nrt_python  # type: ignore[attr-defined]  # compiled
from numba.core.runtime.nrt import rtsys

from contracts.features import FEATURES
from processors.bearings import bearing
from processors.envelope import Envelopes
from processors.features import FeatureEngine

RATE_HZ = 25_600.0
WINDOWS = 20


@pytest.fixture
def counted() -> Iterator[None]:
    _nrt_python.memsys_enable_stats()
    yield
    _nrt_python.memsys_disable_stats()


def steps(n_channels: int, n_samples: int) -> tuple[float, float]:
    """Return how often compiled code allocates for a window, and how many bytes NumPy and Python have at most."""
    samples = np.random.default_rng(1).standard_normal((n_channels, n_samples)).astype(np.float32)
    samples[0] = np.sin(1.5 * np.arange(n_samples))  # it hardly moves: measured again in double precision
    bands_hz = np.tile([2000.0, 5000.0], (n_channels, 1))
    engine = FeatureEngine(n_channels, n_samples, RATE_HZ, (bearing("6205"),) * n_channels)
    for _ in range(3):
        engine.compute(samples, 1797.0, bands_hz)
    before: Any = rtsys.get_allocation_stats()  # type: ignore[no-untyped-call]
    for _ in range(WINDOWS):
        engine.compute(samples, 1797.0, bands_hz)
    after: Any = rtsys.get_allocation_stats()  # type: ignore[no-untyped-call]
    assert after.alloc - before.alloc == after.free - before.free  # nothing is kept
    tracemalloc.start()
    engine.compute(samples, 1797.0, bands_hz)
    tracemalloc.reset_peak()
    held, _ = tracemalloc.get_traced_memory()
    for _ in range(WINDOWS):
        engine.compute(samples, 1797.0, bands_hz)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after.alloc - before.alloc) / WINDOWS, most - held


@pytest.mark.usefixtures("counted")
def test_no_frame_allocates_in_steady_state() -> None:
    few, many, long = steps(2, 25_600), steps(8, 25_600), steps(2, 51_200)
    # handing an array to a kernel counts as one: so many for a window, whatever its channels and samples are
    assert few[0] == many[0] == long[0] < 100
    # all that grows with the channels is their results: vectors, families, and the lines that these were found in
    result_bytes = 12 * len(FEATURES)
    assert (many[1] - few[1]) / 6 < 4 * result_bytes + 4 * 600
    # twice the samples, twice the lines
    assert long[1] - few[1] < 2 * 4 * 1200


def test_bands_of_ever_new_widths_leave_nothing_behind() -> None:
    envelopes = Envelopes(25_600)
    spectrum = np.ones((1, 12_801), np.complex64)
    envelopes.spectra(spectrum, np.array([0]), 4_000, 6_000, 500)  # kernels are loaded
    tracemalloc.start()
    sizes = []
    for number in range(60):
        envelopes.spectra(spectrum, np.array([0]), 4_000, 6_000 + 37 * number, 500)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] < 1.5 * sizes[29]
