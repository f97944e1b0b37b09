"""Sites, assets and service history from YAML and CSV files: read, converted, checked; nothing is guessed.

An error names file, line, place and value, and says what is allowed.
"""

from adapters.asset_files.bearings import read_bearings
from adapters.asset_files.read import AssetImport, read_asset_files, read_rules

__all__ = ["AssetImport", "read_asset_files", "read_bearings", "read_rules"]
