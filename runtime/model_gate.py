"""The gate that a model's content passes before it scores anything: it runs, and was trained for this feature code.

What passes here is refused by the stream for nothing but what it answers to live vectors. Content is read by
onnxruntime alone, never unpickled.
"""

import contextlib
from collections.abc import Iterable

from contracts import ports
from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError
from contracts.models import FEATURE_HASH_KEY
from processors.configured import window_counts
from processors.own_features import FeatureCode
from processors.scoring import BUILT_IN_MODELS, reconstruction
from processors.state_bound import check_state
from runtime.feature_code import code_hash


def examine(key: str, content: bytes, stated_hash: str | None, code: FeatureCode) -> str:
    """Return the hash of the feature code for which fit content was trained.

    Parameters
    ----------
    key : str
        ``name@version``, for messages.
    content : bytes
        The ONNX file.
    stated_hash : str or None
        The hash as the model's maker states it, for a file that doesn't.
    code : FeatureCode
        What runs here.

    Raises
    ------
    ConfigurationError
        If the content can't be worked with (`reconstruction.Autoencoder`), or its vectors were others than the
        stream's.
    """
    said = reconstruction.load(key, content).metadata.get(FEATURE_HASH_KEY)
    if said is not None and stated_hash is not None and said != stated_hash:
        raise ConfigurationError(f"model {key} says it was trained for feature code {said[:64]}, not {stated_hash}")
    trained_for = stated_hash if said is None else said
    if not trained_for:
        raise ConfigurationError(
            f"model {key} doesn't say for which feature code it was trained (metadata {FEATURE_HASH_KEY});"
            f" --feature-hash can state it, {code_hash()} is in use"
        )
    if not is_current(trained_for, code):
        raise ConfigurationError(
            f"model {key} was trained for feature code {trained_for[:64]}, {code.code_hash} is in use: train it again"
        )
    return trained_for


def check_states(assets: Iterable[AssetConfiguration], models: ports.ModelStore) -> None:
    """Refuse assets whose channels' state may grow beyond its limit, as far as their models' files are at hand.

    A model that isn't counts as one of single windows; the worker, which has it, refuses what is too much then.

    Raises
    ------
    ConfigurationError
        With the asset, its models, what they may take, and the limit.
    """
    for asset in assets:
        contents = {}
        for model in asset.models:
            if model.name not in BUILT_IN_MODELS:
                with contextlib.suppress(ConfigurationError):
                    contents[model.key] = models.load(model.name, model.version, model.sha256)
        check_state(asset, window_counts(contents))


def is_current(feature_hash: str, code: FeatureCode) -> bool:
    """Return whether `feature_hash` names the feature code that runs here; models see no features of one's own."""
    return feature_hash in {code.code_hash, code_hash()}
