"""adapters/timescale."""
