"""PostgreSQL with or without TimescaleDB: history, partition ownership, assets, queries, webhook deliveries.

One `Database` (a connection pool) carries four small classes, each the whole of one port of ``contracts.ports``:
`PartitionStore`, `AssetRegistry`, `HistoryReader`, `DeliveryQueue`. `migrate` brings the schema up to date.
`canonical_rows`, `canonical_transitions` and `read_history` bring records and stored rows into one form in which they
can be compared exactly. `DeadLetterMarks` remembers which refused records were put back. `ModelRegistry` keeps model
versions and their history, and `StoredModels` is a `ModelStore` over them; `read_scores` reads what models said.
"""

from adapters.timescale.assets import AssetRegistry
from adapters.timescale.database import Database
from adapters.timescale.dead_letters import DeadLetterMarks
from adapters.timescale.deliveries import DeliveryQueue
from adapters.timescale.history import read_history
from adapters.timescale.migrate import migrate
from adapters.timescale.models import ModelRegistry, StoredModels
from adapters.timescale.partitions import PartitionStore
from adapters.timescale.reader import HistoryReader
from adapters.timescale.rows import canonical_rows, canonical_transitions
from adapters.timescale.scores import StoredScore, read_scores

__all__ = [
    "AssetRegistry",
    "Database",
    "DeadLetterMarks",
    "DeliveryQueue",
    "HistoryReader",
    "ModelRegistry",
    "PartitionStore",
    "StoredModels",
    "StoredScore",
    "canonical_rows",
    "canonical_transitions",
    "migrate",
    "read_history",
    "read_scores",
]
