"""Which feature code this process runs: the user's own features, loaded here, and the hash of all of it.

Invariant: only what the operator has named is imported, by ``FAULTLINE_OWN_FEATURES`` or by installing a package with
entry points in the group ``faultline.features``. Nothing on the log leads to an import.
"""

import ast
import hashlib
import importlib
import importlib.metadata
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from contracts.errors import ConfigurationError
from contracts.own_features import OwnFeature
from processors import chosen_features, features, own_features
from processors.own_features import FeatureCode
from runtime.settings import Settings

#: Entry points of installed packages that are features.
GROUP: Final = "faultline.features"

_log = structlog.get_logger(__name__)
_PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_DIGITS: Final = 12
#: What computes a vector; everything in the core that these import is feature code too.
_ROOTS: Final = (features.__name__, chosen_features.__name__, own_features.__name__)
_CATALOGUE: Final = ("contracts.features", "contracts.own_features")


def load_feature_code(settings: Settings) -> FeatureCode:
    """Load the user's own features, try each, and return them with the hash of all feature code.

    Parameters
    ----------
    settings : Settings
        ``own_features`` names them, as ``module:name``.

    Returns
    -------
    code : FeatureCode
        For `processors.pipeline.PartitionPipeline` and whatever else computes vectors; failures are counted and logged.

    Raises
    ------
    ConfigurationError
        If one can't be imported, isn't an `OwnFeature`, has the name of another, or gives two values for one window.
    """
    own: dict[str, OwnFeature] = {}
    for path in (*settings.own_features, *(point.value for point in importlib.metadata.entry_points(group=GROUP))):
        feature = _load(path)
        if own.setdefault(feature.name, feature) is not feature:
            raise ConfigurationError(f"own feature {path!r}: another one is named {feature.name!r} too")
        _try(path, feature)
    return FeatureCode(code_hash(own.values()), dict(sorted(own.items())), Failures(), code_hash())


def code_hash(own: Iterable[OwnFeature] = ()) -> str:
    """Return the short SHA-256 of the source of the feature code, the catalogue and the `own` features.

    Parameters
    ----------
    own : iterable of OwnFeature
        The user's own features.

    Returns
    -------
    code_hash : str
        12 hexadecimal digits; of an own feature its declaration and the source of its module count.

    Examples
    --------
    >>> len(code_hash())
    12
    """
    digest = hashlib.sha256()
    for name, source in sorted(_engine_sources().items()):
        digest.update(f"{name} {len(source)}\n".encode() + source)
    for feature in sorted(own, key=lambda one: one.name):
        source = _source(feature.function.__module__)
        declared = (feature.name, feature.unit, str(feature.version), feature.reference, feature.function.__module__)
        digest.update(f"{declared} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:_DIGITS]


class Failures:
    """Counts failures of own features, and logs the first of each, the tenth, the hundredth and so on."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, feature: str, channel_id: str, problem: str) -> None:
        """Count one failure."""
        self.counts[feature] += 1
        failures = self.counts[feature]
        if failures == 10 ** (len(str(failures)) - 1):
            _log.warning(
                "own_feature_failed", feature=feature, channel_id=channel_id, problem=problem, failures=failures
            )


def _load(path: str) -> OwnFeature:
    if not _PATH.fullmatch(path):
        raise ConfigurationError(f"own feature {path!r}: module:name is needed, e.g. my_plant.features:band_ratio")
    module_name, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # the module is the user's: it may raise anything
        raise ConfigurationError(f"own feature {path!r} can't be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, OwnFeature):
        raise ConfigurationError(
            f"own feature {path!r} is a {type(found).__name__}: declare it with contracts.own_features.own_feature"
        )
    return found


def _try(path: str, feature: OwnFeature) -> None:
    """Call a feature twice, so that what it compiles is compiled, and that it is a function of its arguments."""
    code = FeatureCode(own={feature.name: feature})
    noise = np.random.default_rng(1).standard_normal(4096).astype(np.float32)
    first, again = (code.values([feature.name], "", noise, 4096.0, 1800.0)[feature.name] for _ in range(2))
    if first != again:
        raise ConfigurationError(
            f"own feature {path!r} gave {first} and then {again} for one window; it must depend on its arguments alone"
        )


def _engine_sources() -> dict[str, bytes]:
    """Return the source of the catalogue, and of the core's modules that lead to a vector, by module name."""
    sources = {name: _source(name) for name in _CATALOGUE}
    waiting = list(_ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name] = _source(name)
            waiting += _imported(sources[name])
    return sources


def _imported(source: bytes) -> Iterator[str]:
    """Yield the modules of the core that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "processors":
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in (str(node.module), *inner) if name in sys.modules)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "processors")


def _source(module_name: str) -> bytes:
    """Return a module's source; empty where there is none, as for compiled code."""
    path = getattr(sys.modules.get(module_name), "__file__", None)
    return Path(path).read_bytes() if path is not None and path.endswith(".py") else b""
