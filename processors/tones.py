"""Steady tones, taken out of a spectrum.

Two tones of a machine (meshing gears, a converter's carrier, hum) beat, and their beat is a line in the envelope like
any other. But a tone fills a bin or two and stands far above the bins beside it; the impacts of a bearing slip a little
from one to the next, so at a resonance's frequencies they fill every bin. A spectrum whose bins are held down to a few
times their neighbourhood keeps the impacts and loses the tones. (Cepstral pre-whitening holds down the resonance, too.)

R. B. Randall, J. Antoni, "Rolling element bearing diagnostics: a tutorial", MSSP 25 (2011), 485-520, on the separation
of discrete from random components.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Complex = npt.NDArray[np.complexfloating[Any, Any]]

#: The neighbourhood of a bin is a block of so many.
_BLOCK: Final = 64
#: A bin so far above the median of its neighbourhood holds a tone; of noise 1 bin in 65 000 does (Rayleigh).
_TONE: Final = 4.0


def without_tones(spectrum: Complex) -> Complex:
    """Return a spectrum whose tones are held down to the median magnitude around them, phases as they were.

    Parameters
    ----------
    spectrum : ndarray, shape (n_channels, n_bins), complex
        One-sided FFT.

    Returns
    -------
    quiet : ndarray, shape (n_channels, n_bins), complex
        The same without tones.

    Examples
    --------
    >>> without_tones(np.array([[1.0, 1.0, 50.0j, 1.0]]) + 0.0j).imag.tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    # not np.abs: its vectorised hypotenuse may round differently at the end of an array
    magnitudes = np.sqrt(spectrum.real**2 + spectrum.imag**2)
    gains = np.ones_like(magnitudes)
    for start in range(0, magnitudes.shape[1], _BLOCK):
        block = magnitudes[:, start : start + _BLOCK]
        floor = np.median(block, axis=1, keepdims=True)
        np.divide(floor, block, out=gains[:, start : start + _BLOCK], where=block > _TONE * floor)
    quiet: Complex = spectrum * gains
    return quiet
