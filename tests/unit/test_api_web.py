"""The live page's files: found, typed, cached by their content, and allowed nothing from elsewhere."""

from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.problems import MEDIA_TYPE
from contracts.errors import ConfigurationError
from runtime.settings import PROJECT
from tests.api_doubles import Bench, Commands, FakeClock, FixedIdentity, Reader


def page(folder: Path) -> Bench:
    """Return an API that knows nobody and serves `folder`."""
    reader, commands, clock = Reader(), Commands(), FakeClock()
    return Bench(create_app(reader, commands, FixedIdentity(None), clock, pages=folder), reader, commands, clock)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "js").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>é</title>", encoding="utf-8")
    (tmp_path / "js" / "app.js").write_text("export {};\n", encoding="utf-8")
    (tmp_path / ".hidden.js").write_text("secret", encoding="utf-8")
    return tmp_path


def test_web_files_have_their_types_and_need_no_login(folder: Path) -> None:
    b = page(folder)
    index = b.ask("GET", "/")
    assert index.status_code == 200
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert "é" in index.text
    script = b.ask("GET", "/js/app.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b.ask("GET", "/v1/assets").status_code == 401


def test_web_files_run_only_their_own_code(folder: Path) -> None:
    headers = page(folder).ask("GET", "/").headers
    policy = {
        name: rest for name, _, rest in (part.partition(" ") for part in headers["content-security-policy"].split("; "))
    }
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_web_files_are_asked_for_again_and_sent_once(folder: Path) -> None:
    b = page(folder)
    first = b.ask("GET", "/")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = b.ask("GET", "/", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert b.ask("GET", "/", headers={"if-none-match": '"other"'}).status_code == 200
    assert b.ask("GET", "/js/app.js").headers["etag"] != tag


@pytest.mark.parametrize("path", ["/.hidden.js", "/js/../.hidden.js", "/..%2fpyproject.toml", "/js/", "/app.js"])
def test_web_knows_no_other_paths(folder: Path, path: str) -> None:
    answer = page(folder).ask("GET", path)
    assert answer.status_code in {401, 404}
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_web_pages_of_other_sites_get_nothing_but_links(folder: Path) -> None:
    b = page(folder)
    assert b.ask("GET", "/js/app.js", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert b.ask("GET", "/", headers=link).status_code == 200


def test_web_folder_must_be_a_page(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"index\.html"):
        page(tmp_path)
    (tmp_path / "index.html").touch()
    (tmp_path / "notes.bak").touch()
    with pytest.raises(ConfigurationError, match="bak"):
        page(tmp_path)


def test_web_ships_a_page_without_inline_code_or_other_origins() -> None:
    files = [path for path in (PROJECT / "web").rglob("*") if path.suffix in {".html", ".js", ".css"}]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "@import", "style="):
            assert banned not in text, f"{path.name}: {banned}"
        assert "https://" not in text, path.name
        assert text.count("\n") <= 300, path.name
    index: httpx.Response = page(PROJECT / "web").ask("GET", "/")
    assert index.text.startswith("<!doctype html>")
