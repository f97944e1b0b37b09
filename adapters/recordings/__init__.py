"""adapters/recordings."""
