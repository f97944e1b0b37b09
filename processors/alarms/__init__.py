"""Alarms of one asset as ISA-18.2 / IEC 62682 wants them: a state machine fed by conditions, commands and ticks."""

from processors.alarms.book import AlarmBook

__all__ = ["AlarmBook"]
