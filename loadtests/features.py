"""What the features cost, beside the one thing that can't be avoided: the FFT of the same data.

One core, float32, CPU time, best of many repetitions in turn: other work on the machine only ever adds time. The FFT is
that of the fastest library at hand; those that aren't among the project's own are measured where they are installed. A
naive NumPy version of the same figures stands beside it for scale.

White noise is the easy signal: all its frequencies are alike, and no two samples are equal. Near a bearing nearly all
acceleration is ringing that moves nothing, in a converter's counts: of that the low frequencies are computed twice.
"""

import importlib
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft
from rocket_fft import r2c

from contracts.units import STANDARD_GRAVITY_M_S2
from loadtests.machine import Cores, pinned
from loadtests.plant import Load, Plant
from loadtests.results import rounded
from processors.bearings import bearing, bearing_at
from processors.features import FeatureEngine, choose_bands
from processors.machine_diagnosis import Machine

F32 = npt.NDArray[np.float32]

#: (channels, samples) of the windows measured.
SHAPES: Final = ((256, 2048), (64, 8192), (8, 25_600))
SAMPLING_RATE_HZ: Final = 25_600.0
SPEED_RPM: Final = 1780.0
#: Ringing of a structure near a bearing (Hz, damping ratio), and what lies beneath it, in shares of its rms: a shaft's
#: line and the noise of the electronics. A converter of 16 bits has eight times the rms as full scale.
_RINGING: Final = (3000.0, 0.05)
_LINE_SHARE, _FLOOR_SHARE = 0.002, 0.01
_COUNTS_PER_RMS: Final = 2.0**15 / 8.0
_FEWEST_RUNS: Final = 3
_TURNS: Final = 4
#: Libraries that aren't among the project's own: where their real FFT is.
_OPTIONAL: Final = {
    "pyfftw": ("pyfftw.interfaces.scipy_fft", "rfft"),
    "mkl_fft": ("mkl_fft.interfaces.scipy_fft", "rfft"),
}
_LIBRARIES: Final = ("scipy", "rocket_fft", *_OPTIONAL)


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
        By shape: Msamples/s of the bare FFT by library (null where it isn't installed) and by the fastest, of the time,
        spectrum and band features, of all features with the band given, of the choice of band, and of a naive version
        of all; and what each costs in FFTs of the fastest library. Of the two sets of features that of `ringing` too.
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
    ffts, rings = _ffts(samples), ringing(n_channels, n_samples)
    # without a speed nothing is computed that depends on it: no orders, no envelope
    steps: dict[str, Callable[[], object]] = {
        "time_spectrum_bands": lambda: engine.compute(samples, None, bands_hz),
        "all_features": lambda: engine.compute(samples, SPEED_RPM, bands_hz),
        "ringing_time_spectrum_bands": lambda: engine.compute(rings, None, bands_hz),
        "ringing_all_features": lambda: engine.compute(rings, SPEED_RPM, bands_hz),
        "choice_of_band": lambda: choose_bands(samples, SAMPLING_RATE_HZ),
        "naive": lambda: [naive_features(row, SAMPLING_RATE_HZ, bands_hz[0]) for row in samples],
    }
    best_s = best_times_s(ffts | steps, seconds)
    by_library_s = {name: best_s.pop(name) for name in ffts}
    best_s["fft"] = min(by_library_s.values())
    by_library = {
        name: rounded(samples.size / by_library_s[name] / 1e6, 1) if name in ffts else None for name in _LIBRARIES
    }
    rates = {f"{name}_msamples_per_s": rounded(samples.size / s / 1e6, 1) for name, s in best_s.items()}
    costs = {f"{name}_in_ffts": rounded(s / best_s["fft"]) for name, s in best_s.items() if name != "fft"}
    envelope = (best_s["all_features"] - best_s["time_spectrum_bands"]) / best_s["fft"]
    return {"fft_by_library_msamples_per_s": by_library, **rates, **costs, "envelope_alone_in_ffts": rounded(envelope)}


def ringing(n_channels: int, n_samples: int) -> F32:
    """Return what sensors near a bearing give: random ringing at a resonance, little else, in a converter's counts.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the signals.

    Returns
    -------
    samples : ndarray, shape (n_channels, n_samples), float32
        Of about 1 g rms.
    """
    rng = np.random.default_rng(2)
    frequency_hz, damping = _RINGING
    hertz = np.fft.rfftfreq(n_samples, 1.0 / SAMPLING_RATE_HZ) / frequency_hz
    response = hertz**2 / (1.0 - hertz**2 + 2j * damping * hertz)
    response[hertz > 2.0] = 0.0
    driven = np.fft.rfft(rng.standard_normal((n_channels, n_samples)), axis=1)
    signal = np.fft.irfft(response * driven, n_samples, axis=1)
    signal /= signal.std(axis=1, keepdims=True)
    turn = 2.0 * np.pi * SPEED_RPM / 60.0 * np.arange(n_samples) / SAMPLING_RATE_HZ
    signal += _LINE_SHARE * np.sqrt(2.0) * np.sin(turn) + _FLOOR_SHARE * rng.standard_normal(signal.shape)
    return (np.round(signal * _COUNTS_PER_RMS) / _COUNTS_PER_RMS).astype(np.float32)


def measure_recording(samples: F32, sampling_rate_hz: float, seconds: float) -> dict[str, Any]:
    """Return what the time, spectrum and band features of recorded windows cost in FFTs of the fastest library.

    Parameters
    ----------
    samples : ndarray, shape (n_channels, n_samples), float32
        Windows, g.
    sampling_rate_hz : float
        Their sampling rate.
    seconds : float
        Time for each figure.

    Returns
    -------
    figures : dict
        Shape, sampling rate and cost.
    """
    n_channels, n_samples = samples.shape
    engine = FeatureEngine(n_channels, n_samples, sampling_rate_hz, (None,) * n_channels)
    unused_hz = np.full((n_channels, 2), np.nan)
    ffts = _ffts(samples)
    with pinned(Cores.share().measured):
        best_s = best_times_s(ffts | {"features": lambda: engine.compute(samples, None, unused_hz)}, seconds)
    fft_s = min(best_s[name] for name in ffts)
    return {
        "shape": f"{n_channels}x{n_samples}",
        "sampling_rate_hz": sampling_rate_hz,
        "time_spectrum_bands_in_ffts": rounded(best_s["features"] / fft_s),
    }


def measure_diagnosis(seconds: float) -> dict[str, float | None]:
    """Return what the diagnosis of a machine of 8 channels costs for a window of 1 s beside its features, CPU us.

    Parameters
    ----------
    seconds : float
        Time for each figure.

    Returns
    -------
    figures : dict
        For the load tests' pump as it is, and with an outer-race fault that all its channels hear.
    """
    with pinned(Cores.share().measured):
        return {
            "healthy_us": _diagnosis_us(Load(assets=1), seconds),
            "faulty_us": _diagnosis_us(Load(assets=1, fault_from_s=0.0, fault_until_s=8.0), seconds),
        }


def _diagnosis_us(load: Load, seconds: float) -> float | None:
    (config,) = load.configurations()
    n, rate_hz, speed_rpm = load.window_samples, load.sampling_rate_hz, config.drive_train.nominal_speed_rpm
    blocks = [np.frombuffer(block.samples, "<f4") for block in Plant(load, 0).blocks(2.0)]
    signal = np.concatenate([block.reshape(load.channels, -1) for block in blocks], axis=1)
    samples = np.ascontiguousarray(signal[:, -n:])
    bearings = [bearing_at(point, config.drive_train) for point in config.points]
    engine, bands_hz = FeatureEngine(load.channels, n, rate_hz, bearings), choose_bands(samples, rate_hz)
    channel_ids = [point.channels[0].channel_id for point in config.points]
    machine = Machine(config.points, channel_ids, rate_hz, config.rules, config.drive_train)
    healthy = engine.compute(samples, speed_rpm, bands_hz).values
    steps = {
        "features": lambda: engine.compute(samples, speed_rpm, bands_hz),
        "diagnosis": lambda: machine.judge(samples, engine.compute(samples, speed_rpm, bands_hz), speed_rpm, healthy),
    }
    best_s = best_times_s(steps, seconds)
    return rounded((best_s["diagnosis"] - best_s["features"]) * 1e6, 0)


def _ffts(samples: F32) -> dict[str, Callable[[], object]]:
    """Return the real FFT of the samples by every library that is installed, each as its users call it."""
    spectrum = np.empty((samples.shape[0], samples.shape[1] // 2 + 1), np.complex64)
    found: dict[str, Callable[[], object]] = {
        "scipy": lambda: scipy.fft.rfft(samples, axis=1),
        "rocket_fft": lambda: _rocket_fft(samples, spectrum),
    }
    for name, (module, function) in _OPTIONAL.items():
        try:
            transform = getattr(importlib.import_module(module), function)
        except ImportError:
            continue
        found[name] = lambda transform=transform: transform(samples, axis=1)  # type: ignore[misc]
    return found


@numba.njit(cache=True)
def _rocket_fft(samples: F32, spectrum: npt.NDArray[np.complex64]) -> None:
    r2c(samples, spectrum, np.array([1]), True, 1.0, 1)


def best_times_s(steps: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return the CPU time of the fastest run of each step; they take turns, about `seconds` for each in all."""
    best_s = dict.fromkeys(steps, float("inf"))
    for _ in range(_TURNS):
        for name, step in steps.items():
            best_s[name] = min(best_s[name], best_time_s(step, seconds / _TURNS))
    return best_s


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
