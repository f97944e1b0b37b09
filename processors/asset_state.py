"""The state of one asset as bytes, in today's form or a former one."""

from typing import Final

import msgspec

from contracts.errors import BadRecord, Reason
from processors.former_states import FORMER_VERSIONS, converted
from processors.group import GroupState
from processors.operation import OperationState

STATE_VERSION: Final = 5


class _Versioned(msgspec.Struct, array_like=True):
    version: int


class AssetState(msgspec.Struct, array_like=True):
    """What a snapshot of an asset holds."""

    version: int
    #: The configuration, as `packed_configuration`.
    config: bytes
    config_version: str
    conditions: bytes
    groups: list[GroupState]
    operation: OperationState
    #: Models that failed here, ``name@version`` → what happened.
    refused: dict[str, str]


def read_state(state: bytes) -> AssetState:
    """Return what a snapshot holds, today's or a former one.

    Raises
    ------
    BadRecord
        ``internal`` where the version is none that there has been.
    """
    version = msgspec.msgpack.decode(state, type=_Versioned).version
    if version in FORMER_VERSIONS:
        state = converted(state, STATE_VERSION)
    elif version != STATE_VERSION:
        raise BadRecord(Reason.INTERNAL, f"asset state version {version}, {STATE_VERSION} expected")
    return msgspec.msgpack.decode(state, type=AssetState)
