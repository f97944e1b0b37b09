"""Local services over their lives: restart, a killed parent, side by side, closed parent folders, failures.

Every test ends with a look for processes that mention its folder: none may be left.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts.errors import ConfigurationError, Unavailable
from runtime.services import processes
from runtime.services.identity import wait_until
from runtime.services.local import LocalServices, ServiceStatus, Urls
from runtime.services.places import outside_of
from runtime.settings import PROJECT, Settings

pytestmark = pytest.mark.services

BOTH = Settings(kafka_url=None, database_url=None)
DATABASE_ONLY = Settings(kafka_url="elsewhere:1", database_url=None)
linux_only = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")


def services(folder: Path, settings: Settings = BOTH, report: Callable[[ServiceStatus], None] = print) -> LocalServices:
    return LocalServices(folder, settings, report, postgres_options={"fsync": "off"})


def processes_of(*folders: Path) -> list[str]:
    """Return the command lines of the processes that mention one of the folders, this one's aside."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if int(entry.name) != os.getpid() and any(str(folder) in line for folder in folders):
            found.append(line)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="faultline-life-"))
    made.chmod(0o755)
    yield made
    outside = outside_of(made)
    try:
        assert wait_until(lambda: not processes_of(made, outside), 20.0), processes_of(made, outside)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(outside, ignore_errors=True)


def write_something(urls: Urls) -> None:
    with psycopg.connect(urls.database) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    admin = AdminClient({"bootstrap.servers": urls.kafka})
    admin.create_topics([NewTopic("kept", 2, 1)])["kept"].result(10)


def assert_it_is_there(urls: Urls) -> None:
    with psycopg.connect(urls.database) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    topics = AdminClient({"bootstrap.servers": urls.kafka}).list_topics(timeout=10).topics
    assert len(topics["kept"].partitions) == 2


@linux_only
def test_next_start_goes_on_with_data_and_ports_and_a_second_owner_is_refused(folder: Path) -> None:
    said: list[ServiceStatus] = []
    with services(folder, report=said.append) as urls:
        write_something(urls)
        with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"):
            services(folder).start()
    with services(folder, report=said.append) as again:
        assert again == urls
        assert_it_is_there(again)
    states = [(status.name, status.state) for status in said]
    assert states.count(("kafka", "ready")) == states.count(("postgres", "ready")) == 2
    assert states.count(("kafka", "stopped")) == states.count(("postgres", "stopped")) == 2
    password = urls.database.partition(":")[2].partition(":")[2].partition("@")[0]
    assert len(password) > 20
    assert password not in repr(urls) + "".join(map(str, said))
    assert all(password not in log.read_text() for log in (folder / "logs").iterdir())


_PARENT = """
import sys, threading
from pathlib import Path
from runtime.services import processes
from runtime.services.local import LocalServices
from runtime.settings import Settings
processes._LAUNCH = Path(sys.argv[2])
services = LocalServices(Path(sys.argv[1]), Settings(kafka_url=None, database_url=None), lambda status: None)
urls = services.start()
print(urls.kafka, urls.database, flush=True)
threading.Event().wait()
"""


@linux_only
@pytest.mark.parametrize("children", ["die with it", "survive it"])
def test_kill_9_of_the_parent_then_a_clean_start(folder: Path, children: str, tmp_path: Path) -> None:
    launcher = tmp_path / "launch.py"
    source = processes._LAUNCH.read_text(encoding="utf-8")
    if children == "survive it":
        source = source.replace('sys.platform == "linux"', "False")
    launcher.write_text(source, encoding="utf-8")
    launcher.chmod(0o644)
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(folder), str(launcher)], cwd=PROJECT, stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        before = Urls(*parent.stdout.readline().decode().split())
        write_something(before)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
    if children == "die with it":
        assert wait_until(lambda: not processes_of(folder), 20.0), processes_of(folder)
    else:
        assert any("kafka.Kafka" in line for line in processes_of(folder))
    said: list[ServiceStatus] = []
    with services(folder, report=said.append) as after:
        assert after == before
        assert_it_is_there(after)
    cleared = {status.name for status in said if status.state == "cleared"}
    assert cleared == (set() if children == "die with it" else {"kafka", "postgres"})


@linux_only
def test_two_side_by_side(folder: Path) -> None:
    first, second = (services(folder / name) for name in ("a", "b"))
    with ThreadPoolExecutor(2) as pool:
        try:
            one, two = pool.map(LocalServices.start, (first, second))
            write_something(one)
            write_something(two)  # would clash if they were the same server
            assert {one.kafka, one.database}.isdisjoint({two.kafka, two.database})
        finally:
            list(pool.map(LocalServices.stop, (first, second)))


@linux_only
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")
def test_root_with_a_checkout_in_a_closed_folder(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    said: list[ServiceStatus] = []
    place = outside_of(closed / "project")
    try:
        with services(closed / "project", DATABASE_ONLY, said.append) as urls:
            server = int((place / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
            assert Path(f"/proc/{server}").stat().st_uid != 0
            with psycopg.connect(urls.database) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            secret = place / "postgres" / "password"
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
            assert secret.stat().st_uid != 0
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert next(s.detail for s in said if s.state == "note").endswith(f"files in {place / 'postgres'}")
        assert not processes_of(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@linux_only
def test_one_failure_stops_the_rest_and_frees_the_folder(folder: Path) -> None:
    java = folder / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho no room for a heap >&2\nexit 3\n")
    java.chmod(0o755)
    broken = services(folder, Settings(kafka_url=None, database_url=None, java_home=folder / "jdk"))
    with pytest.raises(Unavailable, match=r"formatting exited with 3.*no room for a heap"):
        broken.start()
    assert wait_until(lambda: not processes_of(folder), 5.0)
    with services(folder, DATABASE_ONLY):
        pass
