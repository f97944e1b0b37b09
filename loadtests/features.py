"""What the features cost, beside the one thing that can't be avoided: the FFT of the same data.

One core, float32, CPU time, best of many repetitions: other work on the machine only ever adds time. A naive NumPy
version of the same figures stands beside it for scale.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.units import STANDARD_GRAVITY_M_S2
from loadtests.machine import Cores, pinned
from loadtests.results import rounded
from processors.bearings import bearing
from processors.features import FeatureEngine, choose_bands

F32 = npt.NDArray[np.float32]

#: (channels, samples) of the windows measured.
SHAPES: Final = ((256, 2048), (64, 8192), (8, 25_600))
SAMPLING_RATE_HZ: Final = 25_600.0
SPEED_RPM: Final = 1780.0
_FEWEST_RUNS: Final = 3


def measure(seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Return the figures of every shape.

    Parameters
    ----------
    seconds : float
        Time for each figure.
    say : callable
        Told what is being measured.

    Returns
    -------
    figures : dict
        By shape: Msamples/s of the bare FFT, of the time, spectrum and band features, of all features with the band
        given, of the choice of band, and of a naive version of all; and what each costs in FFTs.
    """
    figures = {}
    with pinned(Cores.share().measured):
        for n_channels, n_samples in SHAPES:
            say(f"{n_channels} channels x {n_samples} samples")
            figures[f"{n_channels}x{n_samples}"] = _measure_shape(n_channels, n_samples, seconds)
    return figures


def _measure_shape(n_channels: int, n_samples: int, seconds: float) -> dict[str, Any]:
    samples = np.random.default_rng(1).standard_normal((n_channels, n_samples)).astype(np.float32)
    engine = FeatureEngine(n_channels, n_samples, SAMPLING_RATE_HZ, (bearing("6205"),) * n_channels)
    bands_hz = choose_bands(samples, SAMPLING_RATE_HZ)
    # without a speed nothing is computed that depends on it: no orders, no envelope
    steps: dict[str, Callable[[], object]] = {
        "fft": lambda: scipy.fft.rfft(samples, axis=1),
        "time_spectrum_bands": lambda: engine.compute(samples, None, bands_hz),
        "all_features": lambda: engine.compute(samples, SPEED_RPM, bands_hz),
        "choice_of_band": lambda: choose_bands(samples, SAMPLING_RATE_HZ),
        "naive": lambda: [naive_features(row, SAMPLING_RATE_HZ, bands_hz[0]) for row in samples],
    }
    best_s = {name: best_time_s(step, seconds) for name, step in steps.items()}
    rates = {f"{name}_msamples_per_s": rounded(samples.size / s / 1e6, 1) for name, s in best_s.items()}
    costs = {f"{name}_in_ffts": rounded(s / best_s["fft"]) for name, s in best_s.items() if name != "fft"}
    envelope = (best_s["all_features"] - best_s["time_spectrum_bands"]) / best_s["fft"]
    return {**rates, **costs, "envelope_alone_in_ffts": rounded(envelope)}


def best_time_s(step: Callable[[], object], seconds: float) -> float:
    """Return the CPU time of the fastest of many runs of `step` within about `seconds`; at least three runs."""
    step()
    best_s, runs = float("inf"), 0
    ends_s = time.perf_counter() + seconds
    while runs < _FEWEST_RUNS or time.perf_counter() < ends_s:
        began_s = time.thread_time()
        step()
        best_s = min(best_s, time.thread_time() - began_s)
        runs += 1
    return best_s


def naive_features(samples: F32, sampling_rate_hz: float, band_hz: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the main features of one channel the obvious way: whole-array NumPy expressions in float64.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,), float32
        Acceleration, g.
    sampling_rate_hz : float
        Sampling rate.
    band_hz : ndarray, shape (2,)
        Demodulation band.

    Returns
    -------
    features : dict of str to float
        A subset of the catalogue, by its names.
    """
    x = samples.astype(np.float64)
    n = x.size
    x -= x.mean()
    rms, mean_abs = np.sqrt(np.mean(x**2)), np.mean(np.abs(x))
    peak = np.max(np.abs(x))
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)
    frequency_hz = np.fft.rfftfreq(n, 1.0 / sampling_rate_hz)
    power = 2.0 * np.abs(np.fft.rfft(x * hann)) ** 2 / (n * np.sum(hann**2))
    graded = (frequency_hz >= 10.0) & (frequency_hz <= 1000.0)
    velocity = power[graded] / (2.0 * np.pi * frequency_hz[graded]) ** 2
    edges_hz = (10.0, 1000.0, 5000.0, np.inf)
    inside = [(frequency_hz >= low) & (frequency_hz < high) for low, high in itertools.pairwise(edges_hz)]
    analytic = np.fft.fft(x)
    analytic[(np.abs(np.fft.fftfreq(n, 1.0 / sampling_rate_hz) - band_hz.mean()) > np.ptp(band_hz) / 2.0)] = 0.0
    squared = np.abs(np.fft.ifft(2.0 * analytic)) ** 2
    envelope = np.abs(np.fft.rfft((squared - squared.mean()) * hann))
    share = power / power.sum()
    return {
        "rms_g": float(rms),
        "peak_g": float(peak),
        "crest_factor": float(peak / rms),
        "kurtosis": float(np.mean(x**4) / rms**4),
        "skewness": float(np.mean(x**3) / rms**3),
        "shape_factor": float(rms / mean_abs),
        "clearance_factor": float(peak / np.mean(np.sqrt(np.abs(x))) ** 2),
        "velocity_rms_mm_s": float(np.sqrt(velocity.sum()) * STANDARD_GRAVITY_M_S2 * 1e3),
        **{name: float(np.sqrt(power[band].sum())) for name, band in zip(_BANDS, inside, strict=True)},
        "spectral_centroid_hz": float(np.sum(frequency_hz * share)),
        "spectral_entropy": float(-np.sum(share * np.log(share + 1e-300)) / np.log(share.size - 1)),
        "dominant_frequency_hz": float(frequency_hz[np.argmax(power)]),
        "bpfo_db": float(20.0 * np.log10(envelope.max() / np.median(envelope))),
    }


_BANDS: Final = ("band_low_g", "band_mid_g", "band_high_g")
