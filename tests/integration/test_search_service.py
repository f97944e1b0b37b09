"""OpenSearch beside the other services: waited for by nobody, no failure of theirs, and gone with them."""

import os
import threading
import time
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from runtime.services.identity import wait_until
from runtime.services.local import LocalServices, ServiceStatus
from runtime.settings import Settings

pytestmark = pytest.mark.services

ALONE = Settings(kafka_url="elsewhere:1", database_url="elsewhere", opensearch_url=None)


def processes_of(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if int(entry.name) != os.getpid() and str(folder) in line:
            found.append(line)
    return found


def test_search_that_cannot_start_is_reported_and_fails_nothing(tmp_path: Path) -> None:
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho no room for a heap >&2\nexit 3\n")
    java.chmod(0o755)
    said: list[ServiceStatus] = []
    settings = ALONE.model_copy(update={"java_home": tmp_path / "jdk"})
    services = LocalServices(tmp_path / "data", settings, said.append, search=True)
    with services as urls:
        assert urls.search is not None
        with pytest.raises(Unavailable, match=r"no room for a heap|doesn't compile"):
            services.search_ready.result(60.0)
        # the first time on a machine its programs are fetched before
        states = [status.state for status in said if status.name == "opensearch" and status.state != "fetching"]
        assert states == ["failed"]


def test_stopping_does_not_wait_for_a_search_that_is_still_starting(tmp_path: Path) -> None:
    services = LocalServices(tmp_path, ALONE, lambda _status: None, search=True)
    began_s = time.monotonic()
    with services:
        assert time.monotonic() - began_s < 5.0, "the start doesn't wait either"
        wait_until(lambda: bool(services.supervisor.children), 30.0)
    assert wait_until(lambda: not processes_of(tmp_path), 5.0), processes_of(tmp_path)
    assert services.search_ready.cancelled()
    assert "search" not in {thread.name for thread in threading.enumerate()}


def test_an_opensearch_of_the_environment_is_used_and_none_is_started(tmp_path: Path) -> None:
    settings = ALONE.model_copy(update={"opensearch_url": "http://elsewhere:9200"})
    services = LocalServices(tmp_path, settings, lambda _status: None, search=True)
    with services as urls:
        assert urls.search == services.search_ready.result(0.0) == "http://elsewhere:9200"
        assert services.supervisor.children == ()


def test_without_search_there_is_none(tmp_path: Path) -> None:
    services = LocalServices(tmp_path, ALONE, lambda _status: None)
    with services as urls:
        assert urls.search is None
        assert services.search_ready.cancelled()
