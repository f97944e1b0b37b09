"""States of assets as they were written before, in today's form, so that a newer worker goes on from them.

In versions 3 and 4 places of blocks, choices of bands, speeds and conditions stood in full, with the names of boots and
fields; version 3 knew no regimes yet.
"""

import struct
from typing import Any, Final

import msgspec
import numpy as np

from contracts.assets import AssetConfiguration
from contracts.features import CATALOGUE_VERSION, FEATURE_NAMES
from processors.bands import BandChoices, Choice
from processors.conditions import sustained_ratios
from processors.conditions.gate import Gate
from processors.conditions.logic import STATE_FORMAT
from processors.few_bytes import digest, packed
from processors.late import Pending, late_state
from processors.operation import OperationState
from processors.packed_configuration import packed_configuration
from processors.regime import RegimeState
from processors.reorder import Boot, ReorderState
from processors.scoring import state as scoring_state
from processors.scoring.baseline import as_kept, kept_bytes
from processors.scoring.packing import Packing, not_below
from processors.window import WindowState

FORMER_VERSIONS: Final = (3, 4)
#: In this format of scoring states regimes had names, and numbers were float32.
_WIDE_SCORING: Final = b"\x03"
_WIDE_CALIBRATIONS: Final = Packing(struct.Struct("<BHB"), "<f4")
#: In this format of conditions alarm limits were kept in another form: they are calibrated anew.
_LIMITS_ANEW: Final = b"\x02"
#: In the next, calibrations named regimes by their places among names.
_BY_PLACES: Final = Packing(struct.Struct("<HIBB"))


def converted(state: bytes, version: int) -> bytes:
    """Return a state of one of the `FORMER_VERSIONS` as one of `version`."""
    _, config, config_version, conditions, groups, speeds, *more = msgspec.msgpack.decode(state)
    refused, (known, rows) = (more[0] if more else {}), (more[1] if more[1:] else ([], {}))
    operation = OperationState.of(speeds, msgspec.convert(([regime[1:] for regime in known], rows), RegimeState))
    config_now = packed_configuration(msgspec.convert(config, AssetConfiguration))
    groups_now = [_group(*group) for group in groups]
    return msgspec.msgpack.encode(
        (version, config_now, config_version, _conditions(conditions), groups_now, operation, refused)
    )


def _conditions(state: bytes) -> bytes:
    before = msgspec.msgpack.decode(state[1:])
    gates: dict[str, dict[str, Gate]] = {}
    for point_id, rule, gate in before["gates"]:
        gates.setdefault(point_id, {})[rule] = Gate(**msgspec.convert(gate, dict[str, Any]))
    limits = before["limits"] if state[:1] != _LIMITS_ANEW else {"pace": {}, "names": [], "models": []}
    models = [
        (point_id, model, ratios, _with_digests(regimes, limits["names"]))
        for point_id, model, ratios, regimes in limits["models"]
    ]
    return STATE_FORMAT + msgspec.msgpack.encode((before["sequence"], gates, (limits["pace"], models)))


def _with_digests(regimes: bytes, names: list[str]) -> bytes:
    return sustained_ratios.packed(
        {
            digest(names[place]): sustained_ratios.Calibration(count, largest, bool(untold))
            for place, count, largest, (untold,) in _BY_PLACES.unpacked(regimes)
        }
    )


def _group(channels: Any, windows: Any, bands: Any, count: int, scoring: bytes) -> tuple[Any, ...]:
    newest, known = bands
    choices = BandChoices(None if newest is None else _choice(*newest), [_choice(*one) for one in known])
    return channels, _windows(*windows), choices.snapshot(), count, _scoring(scoring)


def _scoring(state: bytes) -> bytes:
    """Return a scoring state with its numbers at half the width; windows in a row begin anew.

    It is empty where features had another meaning or were kept in another form, so that all is learnt anew.
    """
    catalogue_version, models, channels = msgspec.msgpack.decode(state[1:])
    if state[:1] != _WIDE_SCORING or catalogue_version != CATALOGUE_VERSION:
        return scoring_state.pack({})
    now = {
        channel_id: (
            [_regime(*regime) for regime in regimes],
            masses,
            {key: scorer for key, scorer in scorers.items() if "@" in key},
        )
        for channel_id, (regimes, masses, scorers) in channels.items()
    }
    return scoring_state.STATE_FORMAT + msgspec.msgpack.encode((catalogue_version, models, now))


def _regime(name: str, seen: int, arrays: bytes, learnt: bool, calibrations: bytes) -> tuple[Any, ...]:
    rows = np.frombuffer(arrays, dtype="<f4").reshape(-1, len(FEATURE_NAMES))
    narrow = b"".join(
        scoring_state.CALIBRATIONS.packed(place, count, [not_below(score) for score in largest])
        for place, count, largest, _ in _WIDE_CALIBRATIONS.unpacked(calibrations)
    )
    return digest(name), seen, kept_bytes(as_kept(rows)), learnt, narrow


def _choice(start_ns: int, epoch_ns: int, regime: str, partial: bool, bands_hz: list[list[float]]) -> Choice:
    return Choice(start_ns, epoch_ns, digest(regime), partial, bands_hz)


def _windows(
    rate_hz: float, parts: Any, head: int, idle_since_ns: int | None, order: Any, anchor_ns: int, index: int, late: Any
) -> WindowState:
    boot_id, last_sequence, end_ns, running, missing, held, former = order
    boots = [
        Boot(_boot(name), last, lost).snapshot() for name, last, lost in ((boot_id, last_sequence, missing), *former)
    ]
    kept, pending, partial_ends = late
    return WindowState(
        rate_hz,
        _offsets(parts),
        min((part[1] for part in (*parts, *held)), default=0),
        head,
        idle_since_ns,
        ReorderState(boots, end_ns, running, _offsets(held)),
        anchor_ns,
        index,
        late_state(_offsets(kept), [Pending(at, epoch, _boot(name)) for at, epoch, name in pending], partial_ends),
    )


def _boot(name: str) -> bytes:
    return digest(name) if name else b""


def _offsets(parts: Any) -> bytes:
    return packed(part[0] for part in parts)
