"""Which models a configuration sets beside the baseline, and what each is made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contracts.assets import ModelReference
from contracts.errors import ConfigurationError
from processors.scoring import reconstruction
from processors.scoring.adwin import Adwin
from processors.scoring.agreement import Agreement
from processors.scoring.charts import Cusum, Ewma, PageHinkley
from processors.scoring.port import Scorer
from processors.scoring.running import QuantileFilter, StandardScaling

BASELINE: Final = "baseline"
HALF_SPACE_TREES: Final = "half-space-trees"
#: Scorers of single channels, by the name of the model.
SCORERS: Final[Mapping[str, Callable[[bytes | None], Scorer]]] = {
    "ewma": Ewma,
    "cusum": Cusum,
    "page-hinkley": PageHinkley,
    "adwin": Adwin,
    "t2-spe": Agreement,
    "standard-scaler": StandardScaling,
    "quantile-filter": QuantileFilter,
}
#: What a scorer's state takes at most, bytes (tested).
SCORER_BYTES: Final[Mapping[str, int]] = {
    "ewma": 392,
    "cusum": 392,
    "page-hinkley": 520,
    "adwin": 2048,
    "t2-spe": 1280,
    "standard-scaler": 264,
    "quantile-filter": 128,
}
#: Models that come with the code: they need no bytes.
BUILT_IN_MODELS: Final = frozenset({BASELINE, HALF_SPACE_TREES, *SCORERS})


@dataclass(frozen=True, slots=True)
class Challenger:
    """A model beside the baseline; ``autoencoder`` is its content, where it has one."""

    reference: ModelReference
    autoencoder: reconstruction.Autoencoder | None

    @property
    def key(self) -> str:
        """``name@version``."""
        return self.reference.key

    @property
    def window_count(self) -> int:
        """How many windows in a row it looks at."""
        return 1 if self.autoencoder is None else self.autoencoder.window_count


def challengers_of(references: Iterable[ModelReference], models: Mapping[str, bytes]) -> tuple[Challenger, ...]:
    """Return the models beside the baseline, in the configuration's order.

    Raises
    ------
    ConfigurationError
        If the content of one isn't among `models`, ``name@version`` → ONNX file, or is unfit.
    """
    return tuple(_challenger(reference, models) for reference in references if reference.name != BASELINE)


def _challenger(reference: ModelReference, models: Mapping[str, bytes]) -> Challenger:
    if reference.name in BUILT_IN_MODELS:
        return Challenger(reference, None)
    key = reference.key
    if key not in models:
        raise ConfigurationError(f"model {key} isn't among the loaded ones: {', '.join(models) or 'none'}")
    return Challenger(reference, reconstruction.load(key, models[key]))
