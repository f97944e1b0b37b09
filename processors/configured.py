"""What a configuration must hold to be worked with: known bearings, features and models, a point for every channel."""

from collections.abc import Mapping

from contracts import ports
from contracts import records as r
from contracts.assets import AssetConfiguration, MeasurementPoint
from contracts.errors import BadRecord, ConfigurationError, OtherFeatures, Reason, SignalError
from contracts.features import unknown_features
from contracts.models import FEATURE_HASH_KEY
from processors.bearings import bearing_at
from processors.drive_train import belt_hz
from processors.model_roles import in_force, refusal
from processors.own_features import ENGINE_ALONE, FeatureCode
from processors.scoring import BUILT_IN_MODELS, AssetScoring, reconstruction
from processors.state_bound import check_state


def point_of(config: AssetConfiguration, channel: r.BlockChannel) -> MeasurementPoint:
    """Return the measurement point of a waveform channel.

    Raises
    ------
    BadRecord
        ``unknown_channel`` or ``unit_mismatch`` where the configuration says otherwise.
    """
    for point in config.points:
        for known in point.channels:
            if known.channel_id == channel.channel_id:
                if known.quantity != channel.quantity:
                    raise BadRecord(
                        Reason.UNIT_MISMATCH, f"{channel.channel_id!r}: {channel.quantity}, not {known.quantity}"
                    )
                if channel.quantity != "acceleration":
                    raise BadRecord(
                        Reason.UNIT_MISMATCH, f"{channel.channel_id!r}: waveforms of {channel.quantity} aren't analysed"
                    )
                return point
    raise BadRecord(Reason.UNKNOWN_CHANNEL, f"{channel.channel_id!r} is no channel of {config.asset_id!r}")


def check_readings(config: AssetConfiguration, batch: r.ReadingBatch) -> None:
    """Refuse readings that aren't of the asset's channels.

    Raises
    ------
    BadRecord
        ``unknown_channel`` or ``unit_mismatch`` where the configuration says otherwise.
    """
    known = {channel.channel_id: channel for point in config.points for channel in point.channels}
    for reading in batch.readings:
        channel = known.get(reading.channel_id)
        if channel is None:
            raise BadRecord(Reason.UNKNOWN_CHANNEL, f"{reading.channel_id!r} is no channel of {batch.asset_id!r}")
        if channel.quantity != reading.quantity:
            raise BadRecord(
                Reason.UNIT_MISMATCH, f"{reading.channel_id!r}: {reading.quantity}, configured {channel.quantity}"
            )


def load_models(config: AssetConfiguration, models: ports.ModelStore) -> dict[str, bytes]:
    """Return the content of the configured models that have one, by ``name@version``."""
    stored = [model for model in config.models if model.name not in BUILT_IN_MODELS]
    return {model.key: models.load(model.name, model.version, model.sha256) for model in stored}


def window_counts(contents: Mapping[str, bytes]) -> dict[str, int]:
    """Return the windows in a row that each of some models, ``name@version`` → ONNX file, looks at."""
    return {key: reconstruction.load(key, content).window_count for key, content in contents.items()}


def misfits(config: AssetConfiguration, models: ports.ModelStore, code: FeatureCode) -> dict[str, str]:
    """Return the configured models that were trained on other features than those of `code`.

    They are refused alone, whatever the place of the activation on the log: refusing it as a whole, a recomputation
    with newer feature code would lose the asset.

    Returns
    -------
    refused : dict of str to str
        ``name@version`` → why, and what takes its place.
    """
    found: dict[str, str] = {}
    for model in config.models:
        if model.name in BUILT_IN_MODELS:
            continue
        try:
            content = models.load(model.name, model.version, model.sha256)
            said = reconstruction.load(model.key, content).metadata.get(FEATURE_HASH_KEY) or model.feature_hash
        except OtherFeatures as error:
            found[model.key] = str(error)
            continue
        if said and not code.accepts(said):
            found[model.key] = f"model {model.key} was trained for feature code {said[:64]}, {code.code_hash} is in use"
    return {key: refusal(key, why, config, found) for key, why in found.items()}


def check_configuration(config: AssetConfiguration, models: ports.ModelStore, code: FeatureCode = ENGINE_ALONE) -> None:
    """Refuse a configuration that couldn't be worked with.

    A configuration only names features: what isn't among the own features of `code` isn't looked for. Models that were
    trained on other features are no reason: see `misfits`.

    Raises
    ------
    BadRecord
        ``bad_activation`` where a bearing, a feature or a model isn't known, a belt is impossible, a model in shadow is
        named twice, or a channel's state could grow beyond its limit.
    """
    own = tuple(code.own)
    try:
        for point in config.points:
            bearing_at(point, config.drive_train)
            unknown = unknown_features(point.features, own)
            if unknown:
                raise ConfigurationError(f"{point.point_id}: no such feature or set: {', '.join(unknown)}"[:500])
        for belt in config.drive_train.belts:
            belt_hz(belt.pulley_diameter_mm, belt.length_mm, belt.shaft_ratio)
        keys = [model.key for model in config.models]
        twice = sorted({model.key for model in config.models if model.shadow and keys.count(model.key) > 1})
        if twice:
            raise ConfigurationError(f"named twice, and once in shadow: {', '.join(twice)}")
        fit = in_force(config, misfits(config, models, code))
        contents = load_models(fit, models)
        AssetScoring.build(fit, (), contents, None)
        check_state(fit, window_counts(contents))
    except (ConfigurationError, SignalError) as error:
        raise BadRecord(Reason.BAD_ACTIVATION, str(error)) from None
