"""Write Grafana's dashboards: ``python -m compose.dashboards``. The files are never edited by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from compose.asset import asset
from compose.fleet import fleet

FOLDER: Final = Path(__file__).resolve().parent / "grafana" / "dashboards"
DASHBOARDS: Final[dict[str, Callable[[], Dashboard]]] = {"fleet": fleet, "asset": asset}


def rendered(name: str) -> str:
    """Return the file of the dashboard `name`; its panels are numbered in their order.

    Parameters
    ----------
    name : str
        One of ``DASHBOARDS``.

    Returns
    -------
    text : str
        JSON as Grafana provisions it.
    """
    board = json.loads(json.dumps(DASHBOARDS[name]().build(), cls=JSONEncoder))
    for number, panel in enumerate(board["panels"], 1):
        panel["id"] = number
    return json.dumps(board, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every dashboard."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(rendered(name), encoding="utf-8")


if __name__ == "__main__":
    main()
