"""Which of an asset's models score for real, which in shadow, and who takes over where one fails.

Invariants: what a model in shadow says reaches neither assessments nor conditions; whether a model is refused is a
function of the windows it was asked about, so a recomputation refuses it at the same window.
"""

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping

from contracts import ports
from contracts import records as r
from contracts.assets import AssetConfiguration, ModelReference


def windows_go_on(old: AssetConfiguration, new: AssetConfiguration) -> bool:
    """Return whether nothing but models and the budget of false alarms changes: windows and baselines stay.

    Examples
    --------
    >>> from contracts.assets import RuleSettings
    >>> pump = AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump")
    >>> windows_go_on(pump, dataclasses.replace(pump, rules=RuleSettings(false_alarms_per_month=2.0)))
    True
    >>> windows_go_on(pump, dataclasses.replace(pump, rules=RuleSettings(baseline_windows=50)))
    False
    """
    rules = dataclasses.replace(old.rules, false_alarms_per_month=new.rules.false_alarms_per_month)
    return dataclasses.replace(old, models=new.models, rules=rules) == new


def in_force(config: AssetConfiguration, refused: Collection[str]) -> AssetConfiguration:
    """Return `config` without the refused models, those that stand in for them in their places.

    Examples
    --------
    >>> new = ModelReference(name="ae", version="2")
    >>> old = ModelReference(name="ae", version="1", shadow=True, stands_in_for="ae@2")
    >>> pump = AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", models=(new, old))
    >>> [(one.key, one.shadow) for one in in_force(pump, {"ae@2"}).models]
    [('ae@1', False)]
    """
    if not refused:
        return config
    models = tuple(
        dataclasses.replace(model, shadow=model.shadow and model.stands_in_for not in refused)
        for model in config.models
        if model.key not in refused
    )
    return dataclasses.replace(config, models=models)


def still_refused(refused: Mapping[str, str], old: AssetConfiguration, new: AssetConfiguration) -> dict[str, str]:
    """Return what stays refused under `new`: models with the same content."""
    content = {(model.key, model.sha256) for model in old.models} & {(model.key, model.sha256) for model in new.models}
    kept = {key for key, _ in content}
    return {key: reason for key, reason in refused.items() if key in kept}


def failures(channels: Iterable[r.ChannelAssessment]) -> dict[str, str]:
    """Return the models that gave no finite score, ``name@version`` → what happened."""
    found: dict[str, list[str]] = {}
    for channel in channels:
        for score in channel.scores:
            if score.value is not None and not math.isfinite(score.value):
                found.setdefault(f"{score.model}@{score.version}", []).append(channel.channel_id)
    return {key: f"{key} gave no finite score for {', '.join(ids)}" for key, ids in found.items()}


def refusal(key: str, why: str, config: AssetConfiguration, refused: Collection[str]) -> str:
    """Return the sentence that tells why a model is refused and what scores in its place.

    Parameters
    ----------
    key, why : str
        The model, ``name@version``, and what happened.
    config : AssetConfiguration
        What was in force before.
    refused : collection of str
        All models that are refused from now on.

    Examples
    --------
    >>> new = ModelReference(name="ae", version="2", shadow=True)
    >>> pump = AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", models=(new,))
    >>> refusal("ae@2", "ae@2 gave no finite score", pump, {"ae@2"})
    'ae@2 gave no finite score; it scored in shadow alone: what scores for real goes on'
    """
    heirs = (model.key for model in config.models if model.stands_in_for == key and model.key not in refused)
    heir = next(heirs, None)
    if any(model.key == key and model.shadow for model in config.models):
        then = "it scored in shadow alone: what scores for real goes on"
    else:
        then = f"{heir} takes its place" if heir is not None else "no other model stands in for it"
    return f"{why}; {then}"


def divided(
    channels: tuple[r.ChannelAssessment, ...], models: Iterable[ModelReference], refused: Collection[str]
) -> tuple[tuple[r.ChannelAssessment, ...], dict[str, tuple[r.Score, ...]]]:
    """Return the channels with the scores that count, and per channel the scores in shadow."""
    shadow = {model.key for model in models if model.shadow}
    apart = shadow | set(refused)
    if not apart:
        return channels, {}
    counted: list[r.ChannelAssessment] = []
    shadows: dict[str, tuple[r.Score, ...]] = {}
    for channel in channels:
        keyed = [(f"{score.model}@{score.version}", score) for score in channel.scores]
        counted.append(dataclasses.replace(channel, scores=tuple(score for key, score in keyed if key not in apart)))
        shadows[channel.channel_id] = tuple(score for key, score in keyed if key in shadow and key not in refused)
    return tuple(counted), shadows


def shadow_rows(assessment: r.Assessment, shadows: Mapping[str, tuple[r.Score, ...]]) -> Iterable[ports.ShadowScore]:
    """Yield the rows to store of scores in shadow."""
    for channel_id, scores in shadows.items():
        for score in scores:
            yield ports.ShadowScore(
                asset_id=assessment.asset_id,
                channel_id=channel_id,
                window_start_ns=assessment.window_start_ns,
                window_end_ns=assessment.window_end_ns,
                code_version=assessment.code_version,
                score=score,
            )
