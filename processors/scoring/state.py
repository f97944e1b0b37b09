"""Scoring state as bytes: versioned, plain little-endian arrays in msgpack, nothing that executes when read."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from contracts.features import CATALOGUE_VERSION
from processors.scoring.baseline import Regime, from_kept_bytes, kept_bytes
from processors.scoring.calibration import Calibration
from processors.scoring.packing import Packing

STATE_FORMAT: Final = b"\x04"
#: By models' places among the names.
CALIBRATIONS: Final = Packing(struct.Struct("<BHB"))


@dataclass(slots=True)
class ChannelState:
    """What a channel knows: regimes in the order of last visits, its forest's masses, its other scorers by model.

    Regimes go by the digests of their names. Windows in a row lie among the scorers, under a name that no model has.
    """

    regimes: dict[bytes, Regime] = field(default_factory=dict)
    masses: bytes | None = None
    scorers: dict[str, bytes] = field(default_factory=dict)


class _RegimeState(msgspec.Struct, array_like=True):
    #: Digest of its name.
    regime: bytes
    seen: int
    #: Rows while learning; centre and scale once learnt.
    arrays: bytes
    learnt: bool
    #: Of each model that is calibrated here, as `CALIBRATIONS`.
    calibrations: bytes


class _State(msgspec.Struct, array_like=True):
    catalogue_version: int
    #: Models that are calibrated, ``name@version``.
    models: list[str]
    channels: dict[str, tuple[list[_RegimeState], bytes | None, dict[str, bytes]]]


def pack(channels: dict[str, ChannelState]) -> bytes:
    """Return the state of all channels as bytes."""
    regimes = [regime for channel in channels.values() for regime in channel.regimes.values()]
    models = list(dict.fromkeys(model for regime in regimes for model in regime.calibrations))
    places = {model: place for place, model in enumerate(models)}
    packed = {
        channel_id: (
            [_pack_regime(key, regime, places) for key, regime in channel.regimes.items()],
            channel.masses,
            channel.scorers,
        )
        for channel_id, channel in channels.items()
    }
    return STATE_FORMAT + msgspec.msgpack.encode(_State(CATALOGUE_VERSION, models, packed))


def unpack(state: bytes) -> dict[str, ChannelState]:
    """Return what `pack` wrote; empty where the features have changed their meaning since, so that all is learnt anew.

    Raises
    ------
    ConfigurationError
        If the format is another.
    """
    if state[:1] != STATE_FORMAT:
        raise ConfigurationError(f"scoring state has format {state[:1]!r}, {STATE_FORMAT!r} expected")
    packed = msgspec.msgpack.decode(state[1:], type=_State)
    if packed.catalogue_version != CATALOGUE_VERSION:
        return {}
    return {
        channel_id: ChannelState(
            {regime.regime: _unpack_regime(regime, packed.models) for regime in regimes}, masses, scorers
        )
        for channel_id, (regimes, masses, scorers) in packed.channels.items()
    }


def _pack_regime(key: bytes, regime: Regime, places: Mapping[str, int]) -> _RegimeState:
    learnt = regime.centre is not None and regime.scale is not None
    arrays = [regime.centre, regime.scale] if learnt else regime.rows
    return _RegimeState(
        regime=key,
        seen=regime.seen,
        arrays=b"".join(kept_bytes(array) for array in arrays if array is not None),
        learnt=learnt,
        calibrations=b"".join(
            CALIBRATIONS.packed(places[model], calibration.count, calibration.largest)
            for model, calibration in regime.calibrations.items()
        ),
    )


def _unpack_regime(packed: _RegimeState, models: Sequence[str]) -> Regime:
    rows, regime = from_kept_bytes(packed.arrays), Regime(seen=packed.seen)
    if packed.learnt:
        regime.centre, regime.scale = rows[0], rows[1]
    else:
        regime.rows = list(rows)
    for place, count, largest, _ in CALIBRATIONS.unpacked(packed.calibrations):
        regime.calibrations[models[place]] = Calibration(count, largest)
    return regime


def numbers_of(state: bytes | None, count: int, what: str) -> NDArray[np.float64]:
    """Return a scorer's state of little-endian float64, (count,): zeros in the beginning.

    Raises
    ------
    ConfigurationError
        If the state of `what` has another length.
    """
    if state is None:
        return np.zeros(count)
    if len(state) != 8 * count:
        raise ConfigurationError(f"{what} has {8 * count} bytes of state, not {len(state)}")
    return np.frombuffer(state, dtype="<f8").astype(np.float64)
