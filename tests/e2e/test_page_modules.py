"""The page's own modules in a browser, without the product: what is drawn, and in which order changes may come."""

import functools
import http.server
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import PROJECT
from tests.e2e.browser import Browser, browser, program
from tests.e2e.product import wait_for

pytestmark = pytest.mark.skipif(
    program() is None, reason="no browser: ./faultline bootstrap --browser as root, or install one"
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
        pass


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """Give a page without code of its own, beside the modules."""
    handler = functools.partial(Quiet, directory=str(PROJECT / "web"))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        tempfile.TemporaryDirectory(prefix="faultline-e2e-") as folder,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with browser(Path(folder)) as opened:
                opened.open(f"http://127.0.0.1:{server.server_port}/css/base.css")
                wait_for("the page", lambda: opened.ask("document.readyState") == "complete")
                opened.ask("document.documentElement.lang = 'en-GB'")
                yield opened
        finally:
            server.shutdown()


def using(page: Browser, module: str, body: str, **given: Any) -> Any:
    """Return what `body` returns, with `m` the module and `given` the arguments."""
    names, values = ", ".join(("m", *given)), ", ".join(json.dumps(value) for value in given.values())
    return page.ask(f"import('/js/{module}').then((module) => (({names}) => {{ {body} }})(module, {values}))")


def test_page_line_keeps_every_peak_in_few_points(page: Browser) -> None:
    body = """
        const xs = Array.from({length: 100000}, (_, i) => i), ys = xs.map((i) => i === 54321 ? 9 : i === 777 ? -9 : 0);
        const path = m.linePath(xs, ys, m.linear([0, 99999], [0, 500]), m.linear([-10, 10], [200, 0]));
        return [path.match(/[ML]/g).length, path.match(/M/g).length, path.includes(' 10.0'), path.includes(' 190.0')];
    """
    points, lines, peak, trough = using(page, "plot/scale.js", body)
    assert points <= 4 * 501
    assert lines == 1
    assert peak
    assert trough


def test_page_line_breaks_at_gaps_and_missing_values(page: Browser) -> None:
    body = """
        const x = m.linear([0, 10], [0, 100]);
        return [m.linePath(xs, ys, x, x, 2).match(/M/g).length, m.linePath([], [], x, x)];
    """
    assert using(page, "plot/scale.js", body, xs=[0, 1, 2, 6, 7], ys=[1, 1, 1, 1, 1]) == [2, ""]
    assert using(page, "plot/scale.js", body, xs=[0, 1, 2, 3, 4], ys=[1, 1, None, 1, 1]) == [2, ""]
    assert using(page, "plot/scale.js", body, xs=[0, 1, 2, 3, 4], ys=[1, 1, 1, 1, 1]) == [1, ""]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 4.2, [0, 2, 4]), (0, 500, [0, 200, 400]), (-0.3, 0.3, [-0.2, 0, 0.2]), (7, 7, [7])],
)
def test_page_ticks_are_round(page: Browser, low: float, high: float, ticks: list[float]) -> None:
    found = using(page, "plot/scale.js", "return m.niceTicks(low, high, 3);", low=low, high=high)
    assert found == pytest.approx(ticks)


ALARM = {
    "alarm_id": "alm_1",
    "asset_id": "P-101",
    "state": "unacknowledged",
    "priority": "medium",
    "sequence": 3,
    "started_at": "2026-01-01T00:00:00.000000000Z",
    "at": "2026-01-01T00:00:01.000000000Z",
    "actor": None,
}


def told(page: Browser, snapshot: list[dict[str, Any]], *steps: dict[str, Any] | list[dict[str, Any]]) -> Any:
    """Return the states of the alarms and the ids that were announced, after a snapshot and what followed."""
    body = """
        const store = new m.Store(), raised = [];
        store.addEventListener('raised', ({detail}) => raised.push(detail.alarm_id));
        store.putAlarms(snapshot);
        for (const step of steps) Array.isArray(step) ? store.putAlarms(step) : store.apply(step);
        return {states: store.alarmsOf('P-101').map((alarm) => alarm.state), raised};
    """
    return using(page, "store.js", body, snapshot=snapshot, steps=list(steps))


def test_page_takes_a_change_once_whoever_tells_it_first(page: Browser) -> None:
    seen = ALARM | {"state": "acknowledged", "sequence": 4, "actor": "ann"}
    assert told(page, [ALARM], seen, ALARM) == {"states": ["acknowledged"], "raised": []}
    assert told(page, [], ALARM, [seen], ALARM, seen) == {"states": ["acknowledged"], "raised": ["alm_1"]}
    assert told(page, [], [ALARM], ALARM) == {"states": ["unacknowledged"], "raised": ["alm_1"]}


def test_page_announces_an_alarm_again_only_after_it_was_over(page: Browser) -> None:
    worse = ALARM | {"priority": "high", "sequence": 4}
    over = ALARM | {"state": "normal", "sequence": 5}
    again = ALARM | {"sequence": 6}
    assert told(page, [], ALARM, worse)["raised"] == ["alm_1"]
    assert told(page, [], ALARM, over, again)["raised"] == ["alm_1", "alm_1"]


def test_page_says_units_and_times_as_people_do(page: Browser) -> None:
    body = "return [m.unitName('(g)2'), m.unitName('um'), m.number(-0.01234), m.fixed(null, 2), m.milliseconds(at)];"
    at = "2026-01-01T00:00:01.234567891Z"
    assert using(page, "words.js", body, at=at) == ["g²", "µm", "−0.0123", "–", 1767225601234]
    body = "return [2, 70, 3 * 3600, 2 * 86400].map((s) => m.ago(1e12 - 1000 * s, 1e12));"
    now, *rest = using(page, "words.js", body)
    assert now == "just now"
    assert [text[0] for text in rest] == ["1", "3", "2"]
