"""The live page in a real browser, against the running product: told as a technician's visit.

The screenshot of the documentation is made here, when ``FAULTLINE_SCREENSHOT`` is set.
"""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.kafka import KafkaCommandLog
from contracts import records as r
from runtime.settings import PROJECT
from tests.e2e.browser import Browser, browser, program
from tests.e2e.product import CODEC, Product, own_folder, running, wait_for

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(program() is None, reason="no browser: ./faultline bootstrap --browser as root, or install one"),
]

PICTURES = PROJECT / "docs" / "images"
MOST_BYTES = 300_000
DESKTOP = (1440, 1000)
PICTURE = (1440, 1300)
PHONE_WIDTH = 360
NOTE = '<b id="injected">on my way</b> & "soon"'


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_folder() as made:
        yield made


def test_a_technician_visits_the_page(folder: Path) -> None:
    with running(folder) as product, browser(folder) as page:
        page.size(*DESKTOP)
        page.prefer(color_scheme="light", reduced_motion="reduce")
        page.open(product.api.removesuffix("/v1") + "/")
        check_assets(page)
        page.ask("window.untouched = true")
        check_alarm(page)
        check_reconnection(page, product)
        check_spectrum(page)
        check_chat(page)
        check_health(page)
        check_models(page)
        check_screenshot(page)
        check_budget(page)
        check_acknowledge(page, product)
        check_phone(page)
        check_accessible(page)
        assert page.ask("window.untouched"), "the page was loaded anew"
        assert page.complaints == []


def check_assets(page: Browser) -> None:
    """Both pumps are listed with a zone as a letter, and one is chosen."""
    wait_for("the assets", lambda: page.count("[data-asset]") == 2)
    wait_for("the stream", lambda: page.texts("#connection") == ["Live"])
    wait_for("zones", lambda: page.texts("[data-asset] .zone") == ["A", "A"])
    assert page.texts("[data-asset] .asset-id") == ["P-101", "P-102"]
    assert page.texts(".head-title") == ["Boiler feed pump A"]
    assert page.texts("#alarms-empty") == ["No alarm stands."]


def check_alarm(page: Browser) -> None:
    """The alarm comes by itself, says why in words, and shows on its asset."""
    (reason, *_) = wait_for("the alarm on the page", lambda: page.texts("#alarm-list .reason"))
    assert "Outer-race fault" in reason
    assert "BPFO" in reason
    assert "dB over the floor" in reason
    assert page.texts("#alarm-list .state")[0] == "Unacknowledged"
    assert any("limit 10 dB" in fact for fact in page.texts("#alarm-list .evidence li"))
    assert "Outer-race fault" in page.texts("[data-asset='P-101'] .asset-fault")
    assert page.texts("[data-asset='P-101'] .asset-alarms")
    assert not page.texts("[data-asset='P-102'] .asset-alarms")
    assert page.ask("document.title").startswith("(")
    assert "BPFO" in page.ask("document.querySelector('#announcer').textContent"), "it isn't read out"
    (why, *_) = wait_for("why scores are high", lambda: page.texts("#score-reasons li"))
    assert why.startswith("Baseline: ")
    assert " → " in why or " dB" in why


def check_reconnection(page: Browser, product: Product) -> None:
    """The API dies: the page says so, goes on from where it was, and shows what happened meanwhile once."""
    assert page.complaints == []
    alarm_id = page.ask("document.querySelector('#alarm-list .alarm').dataset.alarm")
    page.click(f"[data-alarm='{alarm_id}'] summary")
    wait_for("the history", lambda: page.texts(".history li"))
    os.kill(product.pid("api"), signal.SIGKILL)
    wait_for("word of the outage", lambda: page.texts("#connection") == ["Reconnecting"])
    asyncio.run(acknowledge_elsewhere(product, alarm_id))
    acknowledged = "SELECT 1 FROM alarm_history WHERE alarm_id = %s AND cause = 'acknowledged'"
    wait_for("the acknowledgement", lambda: product.query(acknowledged, alarm_id))
    wait_for("the stream again", lambda: page.texts("#connection") == ["Live"])

    def by_night_shift() -> list[str]:
        return [text for text in page.texts(".history li") if "by night shift" in text]

    wait_for("what happened meanwhile", by_night_shift)
    wait_for("the second alarm", lambda: page.count("#alarm-list .alarm") == 2)
    assert len(by_night_shift()) == 1
    said = page.ask("document.querySelector('#announcer').textContent")
    assert (said.count("Outer-race"), said.count("High vibration")) == (1, 1)
    page.click(f"[data-alarm='{alarm_id}'] summary")
    page.complaints.clear()  # the connections that the outage refused


async def acknowledge_elsewhere(product: Product, alarm_id: str) -> None:
    """Acknowledge an alarm past the API, as another one would."""
    command = r.Command(
        command_id=f"cmd_{uuid.uuid4().hex}",
        asset_id="P-101",
        alarm_id=alarm_id,
        action=r.CommandAction.ACKNOWLEDGE,
        actor="night shift",
        at_ns=time.time_ns(),
    )
    await KafkaCommandLog(product.urls["kafka"], CODEC).append(command)


def check_spectrum(page: Browser) -> None:
    """The bearing's frequencies stand in the envelope spectrum; a chosen one says frequency, order and level."""
    families = ".figure-envelope .family"
    wait_for("fault frequencies", lambda: page.count(families) >= 5)
    wait_for(
        "a loud recording", lambda: "BPFO" in " ".join(page.texts(".figure-envelope .family[aria-pressed='true']"))
    )
    assert {"BPFO", "BPFI", "BSF", "FTF"} <= {text.split()[0] for text in page.texts(families)}
    assert "2×BPFO" in page.texts(".figure-envelope .plot-marker text")
    assert page.count(".figure-envelope .plot-dot") >= 2
    page.click(f"{families}[data-family='BPFI']")
    said = wait_for("BPFI's place", lambda: [t for t in page.texts(".figure-envelope .legend") if t.startswith("BPFI")])
    assert "160.7 Hz" in said[0]
    assert "order 5.42" in said[0]
    page.click(f"{families}[data-family='BPFO']")
    assert page.count(".figure-amplitude .plot-marker") > 0
    assert page.count(".plot-area") == 1
    assert page.count(".trend-plots .plot-line") >= 3
    page.ask("document.querySelector('.trend-plots .chart').focus()")
    page.press("ArrowLeft")
    assert page.texts(".trend-plots .legend-time"), "the arrow keys don't move the cursor"
    page.ask("document.activeElement.blur()")


def check_screenshot(page: Browser) -> None:
    """What the documentation shows is what is there."""
    if not os.environ.get("FAULTLINE_SCREENSHOT"):
        return
    wait_for("zone C", lambda: page.texts("[data-asset='P-101'] .zone") == ["C"])
    wait_for("the newest recording", lambda: "dB" in " ".join(page.texts(".figure-envelope .family")))
    page.size(*PICTURE)
    picture(page, "page.png")
    page.size(*DESKTOP)


def picture(page: Browser, name: str) -> None:
    page.ask("scrollTo(0, 0)")
    page.picture(PICTURES / name)
    assert (PICTURES / name).stat().st_size <= MOST_BYTES


def check_health(page: Browser) -> None:
    """The index falls with the fault, and says by which feature of which channel, and why no life is told."""

    def about(name: str) -> str:
        return dict(zip(page.texts("#health dt"), page.texts("#health dd"), strict=True)).get(name, "")

    wait_for("the fault's line", lambda: about("Worst").startswith("BPFO line over the floor at "))
    assert about("Measured").endswith("; index 1 up to 10, 0 at 40")
    assert about("Life left").startswith(("not told: ", "between "))
    (value,) = page.texts("#health .health-value")
    assert 0.0 <= float(value) < 1.0
    assert page.count("#health .plot-line") == 1
    wait_for("the list's index", lambda: page.texts("[data-asset='P-101'] .asset-health")[0] != "Health 1.00")
    (other,) = wait_for("the other's", lambda: page.texts("[data-asset='P-102'] .asset-health"))
    assert float(other.removeprefix("Health ")) > 0.9


def check_models(page: Browser) -> None:
    """What scores here is listed with its stage."""
    names = wait_for("the models", lambda: page.texts("#models .model-name"))
    assert names[0] == "baseline 1"
    assert "half-space-trees 1" in names
    assert set(page.texts("#models .state")) == {"As delivered"}
    assert set(page.texts("#models .model-about")) == {"scores here"}


def check_budget(page: Browser) -> None:
    """Budget and what came stand beside each other, and scores raise no alarm before they have learnt enough."""
    said = wait_for("the calibration", lambda: [t for t in page.texts("#record-scores") if t.startswith("Learning: ")])
    seen, needed = (int(word.replace(",", "")) for word in said[0].split() if word[0].isdigit())
    assert 0 < seen < needed
    assert page.count(".record-progress:not([hidden])") == 1
    budget, came, expected = page.texts("#record dd")
    assert budget == "1 a month"
    assert came.startswith("0 of 2 alarms in ")
    assert expected == "0 a month, by calibration"


def check_acknowledge(page: Browser, product: Product) -> None:
    """An acknowledgement goes out with its note and comes back as the alarm's state, by the stream."""
    alarm = page.ask("document.querySelector('#alarm-list .alarm[data-unseen=true]').dataset.alarm")
    card = f"[data-alarm='{alarm}']"
    page.click(f"{card} input")
    page.type(NOTE)
    page.click(f"{card} .false-box")
    page.click(f"{card} .primary")
    wait_for("the new state", lambda: page.texts(f"{card} .state") == ["Acknowledged"])
    assert page.texts(f"{card} .primary") == []
    (seen,) = page.texts(f"{card} .seen")
    assert f"False alarm: {NOTE}" in seen
    wait_for("the count", lambda: page.texts("#record dd")[1].startswith("1 of 2 alarms in "))
    assert page.count("#injected") == 0, "a note became markup"
    page.click(f"{card} summary")
    history = wait_for("the history", lambda: page.texts(f"{card} .history li"))
    assert history[0].split()[1] == "Raised"
    assert NOTE in history[-1]
    assert httpx.get(f"{product.api}/alarms/{alarm}").json()["state"] == "acknowledged"


def check_chat(page: Browser) -> None:
    """A question gets an answer with a link to its source."""
    page.click("#chat .suggestion")
    said = wait_for("an answer", lambda: page.texts("#chat .text, #chat .abstained, #chat .refused"))
    assert page.texts("#chat .refused") == []
    assert "BPFO" in said[0]
    wait_for("a source", lambda: page.texts("#chat .sources a"))
    assert not page.texts("#chat .sources blockquote")
    page.click("#chat .sources a")
    assert page.texts("#chat .sources blockquote"), "the link opens no passage"
    page.click("#chat .sources a")


def check_phone(page: Browser) -> None:
    """On a phone list and asset are two screens, and neither scrolls sideways."""
    page.size(PHONE_WIDTH, 740, phone=True, scale=2.0)
    page.ask("location.hash = '#/'")
    wait_for("the list", lambda: page.texts("#fleet-title"))
    assert not page.texts(".head-title")
    assert page.ask("document.documentElement.scrollWidth") == PHONE_WIDTH
    page.click("[data-asset='P-102'] a")
    wait_for("the asset", lambda: page.texts(".head-title") == ["Boiler feed pump B"])
    wait_for("its spectrum", lambda: page.count(".figure-envelope .family") >= 5)
    assert not page.texts("#fleet-title")
    assert page.ask("document.documentElement.scrollWidth") == PHONE_WIDTH
    if os.environ.get("FAULTLINE_SCREENSHOT"):
        page.click("a.back")
        wait_for("the list", lambda: page.texts("#fleet-title"))
        page.click("[data-asset='P-101'] a")
        wait_for("the asset", lambda: page.texts(".head-title") == ["Boiler feed pump A"])
        picture(page, "page-phone.png")


def check_accessible(page: Browser) -> None:
    """Landmarks are there, everything that can be worked has a name, and no id is given twice."""
    for landmark in ("header.bar", "nav[aria-labelledby]", "main", "h1"):
        assert page.count(landmark) == 1, landmark
    unnamed = page.ask(
        "[...document.querySelectorAll('button, a, input, select, [tabindex=\"0\"]')].filter(e => !(e.textContent"
        ".trim() || e.getAttribute('aria-label') || e.labels?.length)).map(e => e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    doubled = page.ask(
        "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
    )
    assert doubled == []
