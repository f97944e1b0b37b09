"""An asset's configuration as states keep it: compressed, since most of it is names of fields."""

import zlib

import msgspec

from contracts.assets import AssetConfiguration


def packed_configuration(config: AssetConfiguration) -> bytes:
    """Return a configuration in the form in which states keep it.

    Examples
    --------
    >>> pump = AssetConfiguration(asset_id="P-101", site_id="demo", name="Feed pump", asset_type="pump")
    >>> unpacked_configuration(packed_configuration(pump)) == pump
    True
    """
    return zlib.compress(msgspec.msgpack.encode(config))


def unpacked_configuration(packed: bytes) -> AssetConfiguration:
    """Return the configuration that `packed_configuration` wrote."""
    return msgspec.msgpack.decode(zlib.decompress(packed), type=AssetConfiguration)
