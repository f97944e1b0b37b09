"""Activation records: an asset's configuration as it stands on the log, and back.

A configuration's ``version`` is a function of its content: the same configuration activated twice has one version, and
a recomputation names the version that was in force. Canonical JSON (sorted keys, no spaces) makes the content unique.
"""

import hashlib
from typing import Final

import msgspec

from contracts.assets import AssetConfiguration
from contracts.errors import BadRecord, Reason
from contracts.identifiers import stable_id
from contracts.records import Activation

ASSET_CONFIGURATION: Final = "asset_configuration"

_VERSION_DIGITS: Final = 16


def activation_of(config: AssetConfiguration, at_ns: int, actor: str) -> Activation:
    """Return the record that puts `config` into force.

    Parameters
    ----------
    config : AssetConfiguration
        The asset's whole configuration.
    at_ns : int
        When it was asked for, UTC nanoseconds; it takes effect at its place in the log.
    actor : str
        Who asked for it.

    Returns
    -------
    Activation
        ``version`` holds the first 16 hexadecimal digits of the SHA-256 of the canonical JSON.

    Examples
    --------
    >>> config = AssetConfiguration(asset_id="P-101", site_id="demo", name="Feed pump", asset_type="pump")
    >>> record = activation_of(config, 1, "operator")
    >>> configuration_of(record) == config, len(record.version)
    (True, 16)
    """
    payload = msgspec.json.encode(config, order="sorted")
    digest = hashlib.sha256(payload).hexdigest()
    version = digest[:_VERSION_DIGITS]
    return Activation(
        activation_id=stable_id("act", ASSET_CONFIGURATION, config.asset_id, version, at_ns),
        asset_id=config.asset_id,
        kind=ASSET_CONFIGURATION,
        version=version,
        at_ns=at_ns,
        payload_json=payload.decode(),
        sha256=digest,
        actor=actor,
    )


def configuration_of(activation: Activation) -> AssetConfiguration:
    """Return the configuration that `activation` carries.

    Parameters
    ----------
    activation : Activation
        A record of kind ``asset_configuration``.

    Returns
    -------
    AssetConfiguration
        The asset's whole configuration.

    Raises
    ------
    BadRecord
        ``bad_activation`` when the kind is another, the payload isn't an asset configuration, isn't what its SHA-256
        says, or is another asset's.
    """
    if activation.kind != ASSET_CONFIGURATION:
        raise BadRecord(Reason.BAD_ACTIVATION, f"kind {activation.kind!r}, {ASSET_CONFIGURATION!r} expected")
    digest = hashlib.sha256(activation.payload_json.encode()).hexdigest()
    if digest != activation.sha256:
        raise BadRecord(Reason.BAD_ACTIVATION, f"the payload's sha256 is {digest}, the record says {activation.sha256}")
    try:
        config = msgspec.json.decode(activation.payload_json, type=AssetConfiguration)
    except msgspec.DecodeError as error:
        raise BadRecord(Reason.BAD_ACTIVATION, f"no asset configuration: {error}") from None
    if config.asset_id != activation.asset_id:
        raise BadRecord(
            Reason.BAD_ACTIVATION,
            f"the payload configures {config.asset_id!r}, the record is for {activation.asset_id!r}",
        )
    return config
