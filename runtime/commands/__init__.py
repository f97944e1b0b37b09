"""runtime/commands."""
