"""One tree of errors, so that every caller knows what to do next.

The root says whether trying again can help (``retriable``). A bad record goes to the dead-letter topic; an unavailable
part is retried after a pause; a configuration error ends the process with one clear line; a signal error is a
``ValueError`` of the signal engine.
"""

from enum import StrEnum


class FaultlineError(Exception):
    """Root of all errors raised on purpose."""

    retriable = False


class ConfigurationError(FaultlineError):
    """A setting, an asset file or a model is wrong; a person must mend it."""


class OtherFeatures(ConfigurationError):
    """A model was trained on other features than those that are computed here; by itself it may be sound."""


class Unavailable(FaultlineError):
    """An outside part doesn't answer; trying again later can help.

    Parameters
    ----------
    part : str
        Which part, e.g. ``"database"``.
    detail : str
        What was tried and how it failed.
    retry_after_s : float
        How long to wait before the next try.
    """

    retriable = True

    def __init__(self, part: str, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(f"{part} is unavailable: {detail}")
        self.part = part
        self.detail = detail
        self.retry_after_s = retry_after_s


class StaleOwner(FaultlineError):
    """The partition has a newer owner: another worker claimed it, and nothing may be written."""

    def __init__(self, topic: str, partition: int, epoch: int, current_epoch: int) -> None:
        super().__init__(f"{topic}[{partition}]: epoch {epoch} is stale, the owner's is {current_epoch}")
        self.topic = topic
        self.partition = partition


class NotFound(FaultlineError):
    """The thing asked for doesn't exist, or lies outside the caller's scope."""


class SignalError(FaultlineError, ValueError):
    """The signal can't be analysed as asked; the message carries the value and the bound."""


class LookAhead(FaultlineError):
    """What was evaluated looks at rows that were yet to come: its figures would be worth nothing."""


class Leak(FaultlineError):
    """A model would have learnt from what it is to be judged by, or from what it mustn't learn from at all."""


class ExportMismatch(FaultlineError):
    """An exported model doesn't give what the trained one gives: it isn't written."""


class Reason(StrEnum):
    """Why a record was refused: the reason code in the dead-letter topic."""

    BAD_FRAME = "bad_frame"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNDECODABLE = "undecodable"
    OVERSIZE = "oversize"
    MISSING_UNIT = "missing_unit"
    UNKNOWN_UNIT = "unknown_unit"
    UNIT_MISMATCH = "unit_mismatch"
    BAD_SAMPLING_RATE = "bad_sampling_rate"
    BAD_LENGTH = "bad_length"
    BAD_CHANNELS = "bad_channels"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    BAD_TIME = "bad_time"
    FUTURE_TIME = "future_time"
    BAD_SEQUENCE = "bad_sequence"
    UNKNOWN_ASSET = "unknown_asset"
    UNKNOWN_CHANNEL = "unknown_channel"
    WRONG_KEY = "wrong_key"
    BAD_ACTIVATION = "bad_activation"
    BAD_TOPIC = "bad_topic"
    RETAINED = "retained"
    DAMAGED = "damaged"
    INTERNAL = "internal"


class BadRecord(FaultlineError):
    """A record that must not be processed: it goes to the dead-letter topic with its reason.

    Parameters
    ----------
    reason : Reason
        The reason code.
    detail : str
        The offending value and the bound it broke.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class DocumentRefused(FaultlineError):
    """A document that must not be indexed: wrong type, too large, encrypted, or beyond a limit while it was read."""
