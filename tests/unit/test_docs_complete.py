"""The documents name what the code has: settings, commands, decisions, printed lines; their links lead somewhere."""

import re
import unicodedata
from pathlib import Path

import pytest

from runtime.__main__ import COMMANDS
from runtime.settings import PREFIX, PROJECT, Settings

DOCS = PROJECT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), PROJECT / "CHANGELOG.md"])
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
PACKAGES = ("contracts", "processors", "adapters", "streams", "api", "runtime", "edge_forwarder", "rag")


def section(title: str) -> str:
    return OPERATIONS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def source() -> str:
    """Return the code with neighbouring string literals joined, as they are printed."""
    files = [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in files))


def test_every_setting_is_described_and_nothing_else() -> None:
    described = set(re.findall(r"^\| `([A-Z_]+)` \|", section("Settings"), re.MULTILINE))
    others = {"JAVA_HOME", "MLFLOW_TRACKING_URI"}
    ours = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} - {f"{PREFIX}{name}" for name in others}
    assert described == ours | others


def test_lines_of_troubleshooting_are_printed_by_the_product() -> None:
    code = source()
    cells = re.findall(r"^\| (`.*?`) \|", section("Troubleshooting"), re.MULTILINE)
    fragments = [fragment for cell in cells for fragment in re.findall(r"`([^`]+)`", cell)]
    assert len(fragments) > 20
    assert [fragment for fragment in fragments if fragment not in code] == []


def test_commands_that_are_named_exist() -> None:
    for page in PAGES:
        for command in re.findall(r"\./faultline ([a-z-]+)", page.read_text(encoding="utf-8")):
            assert command in {*COMMANDS, "bootstrap"}, f"{page.name}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_decision_is_listed_once_in_order() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))
    assert re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", index) == files
    for name in files:
        number = int(name[:4])
        text = (DOCS / "adr" / name).read_text(encoding="utf-8")
        title = text.partition("\n")[0].removeprefix(f"# {number}. ")
        assert f"| [{number}]({name}) | {title} |" in index
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences"))


def test_the_glossary_is_in_order() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| ([^|]+?) \| ", text.partition("|---")[2], re.MULTILINE)
    keys = [unicodedata.normalize("NFKD", term).casefold() for term in terms]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
