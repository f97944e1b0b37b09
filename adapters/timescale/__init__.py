"""PostgreSQL with or without TimescaleDB: history, partition ownership, assets, queries, webhook deliveries.

One `Database` (a connection pool) carries four small classes, each the whole of one port of ``contracts.ports``:
`PartitionStore`, `AssetRegistry`, `HistoryReader`, `DeliveryQueue`. `migrate` brings the schema up to date.
`canonical_rows`, `canonical_transitions` and `read_history` bring records and stored rows into one form in which they
can be compared exactly. `CheckpointKeeper` keeps where a recomputation can begin. `RefusalAccount` bounds how many
records are refused; `DeadLetterMarks` remembers which of them were put back. `ModelRegistry` keeps model versions and
their history, and `StoredModels` is a `ModelStore` over them; `read_scores` reads what models said.
"""

from adapters.timescale.assets import AssetRegistry
from adapters.timescale.database import Database
from adapters.timescale.dead_letters import DeadLetterMarks, RefusalAccount
from adapters.timescale.deliveries import DeliveryQueue
from adapters.timescale.history import read_history, read_history_since
from adapters.timescale.kept import CheckpointKeeper, KeptCheckpoint, oldest_kept
from adapters.timescale.migrate import migrate
from adapters.timescale.models import ModelRegistry, StoredModels
from adapters.timescale.partitions import PartitionStore
from adapters.timescale.reader import HistoryReader
from adapters.timescale.rows import canonical_rows, canonical_transitions
from adapters.timescale.scores import StoredScore, read_scores

__all__ = [
    "AssetRegistry",
    "CheckpointKeeper",
    "Database",
    "DeadLetterMarks",
    "DeliveryQueue",
    "HistoryReader",
    "KeptCheckpoint",
    "ModelRegistry",
    "PartitionStore",
    "RefusalAccount",
    "StoredModels",
    "StoredScore",
    "canonical_rows",
    "canonical_transitions",
    "migrate",
    "oldest_kept",
    "read_history",
    "read_history_since",
    "read_scores",
]
