"""A second look at a recording: the whole usable range, plain, pre-whitened, and as a log envelope.

The chosen band answers where a line of the bearing is clearest. It can't tell a defect of a race from a damaged rolling
element that modulates the machine's own vibration at the cage frequency: the outer race's line is itself a multiple of
the cage frequency, so it rises with the others. Two questions tell them apart. Does the cage's comb stand? Does a race
leave its line in the pre-whitened spectrum, as the impacts of a real defect do?

And a narrow band chosen for its clear lines shows lines of the machine, too, clearest. So a family that is barely high
enough there counts only if it stands in the whole range as well, plain or pre-whitened; and where the log envelope has
both races, the chosen band's word for one of them counts only if it has that one at the same frequency.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.assets import RuleSettings
from contracts.records import Diagnosis, Evidence
from processors import cage, envelope, races
from processors.band_choice import kurtogram_bands
from processors.bearings import BearingGeometry
from processors.cage import CageComb
from processors.diagnosis import BEARING_FAULTS
from processors.families import LineFamily, bins_needed, find_families
from processors.races import RacePair
from processors.tones import without_tones

F32 = npt.NDArray[np.float32]
Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

_RACES: Final = ("BPFO", "BPFI")
#: A race that stands so far above the cage's comb has a defect of its own.
_RACE_LEAD_DB: Final = 10.0
#: A family this far above the bound needs no second witness.
_SURE_DB: Final = 6.0
#: At the one place where a family was found before, chance has ten times fewer bins than within 3 %, and reaches less.
_FOUND_BEFORE_DB: Final = 4.0
#: The cage's level is the median of its first harmonics.
_LEVEL_HARMONICS: Final = 4
#: No more than this: a worn cage shows the same comb.
_HIGHEST_CONFIDENCE: Final = 0.75


@dataclass(frozen=True, slots=True)
class Look:
    """The bearing's lines in one envelope spectrum of the whole range, and the cage's comb where that is resolved."""

    families: tuple[LineFamily, ...]
    comb: CageComb | None


@dataclass(frozen=True, slots=True)
class SecondLook:
    """The same window in several lights.

    Parameters
    ----------
    plain, whitened, logarithmic : Look
        The whole usable range: its squared envelope, that of the pre-whitened signal, and the log envelope.
    pair : RacePair or None
        Both races, where the log envelope has them.
    toneless : tuple of LineFamily
        The chosen band without steady tones.
    """

    plain: Look
    whitened: Look
    logarithmic: Look
    pair: RacePair | None
    toneless: tuple[LineFamily, ...]


def look_again(
    samples_g: F32, sampling_rate_hz: float, geometry: BearingGeometry, speed_rpm: float, band_hz: tuple[float, float]
) -> SecondLook:
    """Return the second look at one window.

    Parameters
    ----------
    samples_g : ndarray, shape (1, n_samples), float32
        Acceleration, g.
    sampling_rate_hz : float
        Sampling rate.
    geometry : BearingGeometry
        The bearing.
    speed_rpm : float
        Shaft speed, positive.
    band_hz : (float, float)
        The chosen band, Hz.

    Returns
    -------
    look : SecondLook
        The window in several lights.
    """
    n_samples = samples_g.shape[1]
    spectrum = scipy.fft.rfft(samples_g - samples_g.mean(axis=1, keepdims=True), axis=1)
    bin_hz = sampling_rate_hz / n_samples
    whole = envelope.band_bins(*kurtogram_bands(sampling_rate_hz)[0], bin_hz, n_samples)
    chosen = envelope.band_bins(*band_hz, bin_hz, n_samples)
    if whole[0] == whole[1] or chosen[0] == chosen[1]:
        nothing = Look((), None)
        return SecondLook(nothing, nothing, nothing, None, ())
    squared = envelope.squared_envelope(spectrum, n_samples, *whole)
    whitened = envelope.squared_envelope(cage.prewhiten(spectrum), n_samples, *whole)
    plain, white, logarithmic = (
        _look(each, whole[1] - whole[0], bin_hz, geometry, speed_rpm)
        for each in (squared, whitened, races.log_envelope(squared))
    )
    pair = races.find_pair(logarithmic.families, bin_hz, geometry, speed_rpm)
    quiet = envelope.squared_envelope(without_tones(spectrum), n_samples, *chosen)
    toneless = _lines(quiet, chosen[1] - chosen[0], bin_hz, geometry, speed_rpm)
    return SecondLook(plain, white, logarithmic, pair, find_families(toneless, bin_hz, geometry, speed_rpm))


def _look(envelopes: Real, width: int, bin_hz: float, geometry: BearingGeometry, speed_rpm: float) -> Look:
    amplitudes = _lines(envelopes, width, bin_hz, geometry, speed_rpm)
    return Look(
        find_families(amplitudes, bin_hz, geometry, speed_rpm),
        cage.find_cage_comb(amplitudes, bin_hz, geometry, speed_rpm),
    )


def _lines(envelopes: Real, width: int, bin_hz: float, geometry: BearingGeometry, speed_rpm: float) -> Real:
    """Return the spectrum of an envelope of a band of `width` bins, as far as the bearing's lines reach."""
    needed = max(bins_needed(bin_hz, geometry, speed_rpm), cage.bins_needed(bin_hz, geometry, speed_rpm))
    amplitudes: Real = envelope.envelope_spectrum(envelopes, min(needed, width))[0]
    return amplitudes


def revise(
    found: Diagnosis | None,
    families: Sequence[LineFamily],
    looks: Sequence[SecondLook],
    point_id: str,
    rules: RuleSettings,
) -> Diagnosis | None:
    """Return the diagnosis after the second look: perhaps a rolling element instead of a race, or of nothing.

    The cage's comb is reported as a rolling element, with the cage named beside it: elements fail far more often.

    Parameters
    ----------
    found : Diagnosis or None
        The diagnosis from the chosen band.
    families : sequence of LineFamily
        The bearing's lines in the chosen band.
    looks : sequence of SecondLook
        One for each window that was long enough.
    point_id : str
        The measurement point; names the channel too.
    rules : RuleSettings
        Bounds of the detection rules for this window length.

    Returns
    -------
    diagnosis : Diagnosis or None
        `found`, unless the cage's comb stands and no race does in the pre-whitened spectrum, both races stand and
        neither is confirmed, or a family barely stood and was met nowhere else.
    """
    name = next((line for line, fault in BEARING_FAULTS.items() if found is not None and fault == found.fault), None)
    if not looks or not (found is None or name is not None):
        return found
    pair = races.middle_pair([look.pair for look in looks])
    if found is not None and name is not None:
        if pair is not None and name in _RACES and pair.confirms(name, families):
            return found
        family = next(family for family in families if family.name == name)
        if not (_is_no_beat(family, looks, rules) and _is_seen_again(family, looks, rules)):
            found = name = None
    if found is not None and name == "BSF":
        return found
    return _element(found, looks, pair, point_id, rules) or found


def _is_no_beat(family: LineFamily, looks: Sequence[SecondLook], rules: RuleSettings) -> bool:
    """Return whether a race has all its harmonics, or a family enough of them without the machine's tones, too.

    Two tones beat at one frequency, the impacts on a race have many harmonics. Those of an element or a cage have few,
    and a second shaft's modulation of its gear may lie where theirs are.
    """
    if family.name in _RACES and family.standing(rules.fault_line_db) == len(family.harmonics):
        return True
    again = [other for look in looks for other in look.toneless if other.name == family.name]
    standing = [
        other.standing(rules.fault_line_db - _FOUND_BEFORE_DB) >= rules.fault_harmonics
        and races.same_line(family, other)
        for other in again
    ]
    return 2 * sum(standing) > len(standing)


def _is_seen_again(family: LineFamily, looks: Sequence[SecondLook], rules: RuleSettings) -> bool:
    """Return whether a family that is barely high enough stands in the whole range, too, plain or pre-whitened."""
    sure = family.score_db is not None and family.score_db >= rules.fault_line_db + _SURE_DB
    return sure or any(_stands(spectra, family.name, rules) for spectra in (_plain(looks), _whitened(looks)))


def _element(
    found: Diagnosis | None, looks: Sequence[SecondLook], pair: RacePair | None, point_id: str, rules: RuleSettings
) -> Diagnosis | None:
    """Return a damaged rolling element, shown by the cage's comb or by both races; or nothing."""
    if not any(_stands(_whitened(looks), race, rules) for race in _RACES):
        logarithmic = [look.logarithmic for look in looks]
        spectra_by_kind = (("pre-whitened", _whitened(looks)), ("plain", _plain(looks)), ("log", logarithmic))
        for kind, spectra in spectra_by_kind:
            comb = _unrivalled_comb(spectra)
            if comb is not None:
                return _damaged_element(comb, kind, found, point_id)
    return None if pair is None else races.both_races(pair, found, point_id)


def _plain(looks: Iterable[SecondLook]) -> list[Look]:
    return [look.plain for look in looks]


def _whitened(looks: Iterable[SecondLook]) -> list[Look]:
    return [look.whitened for look in looks]


def _unrivalled_comb(spectra: Sequence[Look]) -> CageComb | None:
    """Return the cage's comb of the middle window, if it stands and no race rises far above it."""
    resolved = [(look.comb.significance, look, look.comb) for look in spectra if look.comb is not None]
    if not resolved:
        return None
    _, look, comb = sorted(resolved, key=lambda entry: entry[0])[(len(resolved) - 1) // 2]
    return comb if comb.stands and _race_lead_db(look, comb) <= _RACE_LEAD_DB else None


def _stands(spectra: Sequence[Look], name: str, rules: RuleSettings) -> bool:
    families = [family for family in _named(spectra, name) if family.decided]
    standing = [family.standing(rules.fault_line_db) >= rules.fault_harmonics for family in families]
    return 2 * sum(standing) > len(standing)


def _named(spectra: Iterable[Look], name: str) -> list[LineFamily]:
    return [family for look in spectra for family in look.families if family.name == name]


def _race_lead_db(look: Look, comb: CageComb) -> float:
    """Return by how much the higher race stands above the cage's comb."""
    cage_db = statistics.median(level for _, level in comb.harmonics[:_LEVEL_HARMONICS])
    races = (family.score_db for name in _RACES for family in _named([look], name))
    return max((score for score in races if score is not None), default=-math.inf) - cage_db


def _damaged_element(comb: CageComb, kind: str, found: Diagnosis | None, point_id: str) -> Diagnosis:
    text = (
        f"Modulation at the cage frequency {comb.found_hz:.2f} Hz ({kind} envelope): {len(comb.harmonics)} harmonics,"
        f" {comb.score_db:.1f} dB on average where {comb.chance_db:.1f} dB is chance:"
        " one rolling element differs from the others, or the cage is worn"
    )
    evidence = Evidence(
        name="FTF",
        value=round(comb.score_db, 2),
        unit="dB",
        limit=round(comb.chance_db, 2),
        frequency_hz=comb.found_hz,
        text=text,
    )
    confidence = 0.5 + 0.03 * (comb.significance - cage.SIGNIFICANT)
    return Diagnosis(
        point_id=point_id,
        channel_id=point_id,
        fault=BEARING_FAULTS["BSF"],
        confidence=round(min(confidence, _HIGHEST_CONFIDENCE), 3),
        evidence=(evidence, *(found.evidence if found is not None else ())),
    )
