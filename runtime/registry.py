"""The codec of this process: schema ids of the registry where one is set, the bundled ones otherwise."""

from contracts.codec import BundledSchemas, Codec
from runtime.settings import Settings


def codec_for(settings: Settings) -> Codec:
    """Return the codec that `settings` ask for."""
    if settings.registry_url is None:
        return Codec(BundledSchemas())
    from adapters.schema_registry import SchemaRegistry  # noqa: PLC0415 -- its client is only needed with a registry

    return Codec(SchemaRegistry(settings.registry_url))
