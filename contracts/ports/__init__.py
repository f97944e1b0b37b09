"""The seams between the shells and the outside: protocols that ``adapters`` implement and ``runtime`` binds.

``streams``, ``api`` and the other shells see these only.
"""

from contracts.ports.assets import AssetRegistry
from contracts.ports.assistant import Assistant, Embedder, LanguageModel, SearchIndex, Vector
from contracts.ports.history import (
    AlarmLimit,
    Checkpoint,
    CheckpointKeeper,
    CorrectedFeatures,
    Gap,
    HistoryRows,
    OutboxRow,
    Ownership,
    PartitionStore,
    RefusalAccount,
    ShadowScore,
    StoredReading,
    WaveformSnapshot,
)
from contracts.ports.notify import Delivery, DeliveryQueue, Endpoint
from contracts.ports.outside import BlockSink, Clock, ModelStore, Outlet
from contracts.ports.serving import CommandLog, HistoryReader, Identity, Principal, TokenIssuer

__all__ = [
    "AlarmLimit",
    "AssetRegistry",
    "Assistant",
    "BlockSink",
    "Checkpoint",
    "CheckpointKeeper",
    "Clock",
    "CommandLog",
    "CorrectedFeatures",
    "Delivery",
    "DeliveryQueue",
    "Embedder",
    "Endpoint",
    "Gap",
    "HistoryReader",
    "HistoryRows",
    "Identity",
    "LanguageModel",
    "ModelStore",
    "OutboxRow",
    "Outlet",
    "Ownership",
    "PartitionStore",
    "Principal",
    "RefusalAccount",
    "SearchIndex",
    "ShadowScore",
    "StoredReading",
    "TokenIssuer",
    "Vector",
    "WaveformSnapshot",
]
