"""What several commands share: who runs them, times and models as people write them."""

import os
import pwd

from api.times import Instant
from contracts.assets import ModelReference
from contracts.errors import ConfigurationError


def current_user() -> str:
    """Return who runs this; a container's user may have a number only."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def moment_ns(text: str) -> int:
    """Return the UTC nanoseconds that a time on the command line names.

    Raises
    ------
    ConfigurationError
        The text isn't RFC 3339 with an offset, nor a number of nanoseconds.

    Examples
    --------
    >>> moment_ns("2026-01-01T00:00:00Z")
    1767225600000000000
    """
    try:
        return Instant.parse(text).ns
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no time like 2026-01-31T08:00:00Z: {error}") from None


def model_named(text: str) -> ModelReference:
    """Return the model that ``NAME=VERSION`` on the command line names.

    Raises
    ------
    ConfigurationError
        The text isn't of that form.

    Examples
    --------
    >>> model_named("half-space-trees=1").key
    'half-space-trees@1'
    """
    name, found, version = text.partition("=")
    if not (name and found and version):
        raise ConfigurationError(f"{text!r} is no model like half-space-trees=1")
    return ModelReference(name=name, version=version)
