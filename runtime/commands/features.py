"""``faultline features``: the catalogue, and the features of the user's own."""

import json
from typing import Annotated, Any

import typer

from contracts.features import CATALOGUE_VERSION, EVERYTHING, FEATURE_SETS, FEATURES
from contracts.own_features import OwnFeature
from processors.own_features import FeatureCode
from runtime.feature_code import load_feature_code
from runtime.settings import load_settings


def features(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List every feature with unit, version, machine types and reference; then the sets that a point can choose.

    Features of your own are those that FAULTLINE_OWN_FEATURES names, and those of installed packages.
    """
    code = load_feature_code(load_settings())
    if as_json:
        print(json.dumps(_as_object(code)))
    else:
        _show(code)


def _as_object(code: FeatureCode) -> dict[str, Any]:
    return {
        "catalogue_version": CATALOGUE_VERSION,
        "code_hash": code.code_hash,
        "features": [
            {
                "name": feature.name,
                "unit": feature.unit,
                "version": feature.version,
                "description": feature.description,
                "function": feature.function,
                "reference": feature.reference,
                "machines": feature.machines.value,
            }
            for feature in FEATURES
        ],
        "own_features": [
            {
                "name": own.name,
                "unit": own.unit,
                "version": own.version,
                "function": _path(own),
                "reference": own.reference,
            }
            for own in code.own.values()
        ],
        "sets": {name: list(members) for name, members in FEATURE_SETS.items()},
    }


def _show(code: FeatureCode) -> None:
    print(f"catalogue {CATALOGUE_VERSION}, code {code.code_hash}\n")
    for feature in FEATURES:
        print(f"{feature.name:<22} {feature.unit:<5} v{feature.version}  {feature.machines.value}")
        print(f"    {feature.description} [{feature.reference}]")
    for own in code.own.values():
        print(f"{own.name:<22} {own.unit:<5} v{own.version}  your own, where chosen")
        print(f"    {_path(own)} [{own.reference}]")
    print("\nsets that a measurement point can choose (docs/features.md):")
    for name, members in FEATURE_SETS.items():
        print(f"{name:<12} {'everything, and your own' if name == EVERYTHING else ', '.join(members)}")


def _path(own: OwnFeature) -> str:
    return f"{own.function.__module__}.{own.function.__qualname__}"
