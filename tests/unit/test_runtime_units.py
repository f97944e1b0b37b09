"""Settings, project folder, stale processes, command line, logging: without any service."""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError, Unavailable
from runtime import bootstrap
from runtime.__main__ import COMMANDS
from runtime.logging import RateLimit
from runtime.services.folder import ProjectFolder, port_is_free
from runtime.services.identity import ProcessIdentity, wait_until
from runtime.services.jars import postgres_platform
from runtime.services.kafka import _cluster_id
from runtime.services.postgres import _clear_lock
from runtime.services.processes import ProcessSpec, Supervisor
from runtime.settings import PROJECT, Settings, child_environment, keep_kernels_apart, load_settings

SLEEPER = (sys.executable, "-I", "-S", "-c", "import sys, time; print('up', flush=True); time.sleep(60)")
STUBBORN = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith("FAULTLINE_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    made.stop()


def spec_of(folder: Path, argv: tuple[str, ...], name: str = "child", stop_deadline_s: float = 5.0) -> ProcessSpec:
    log = folder / f"{name}.log"
    return ProcessSpec(
        name=name,
        argv=argv,
        log_file=log,
        ready=lambda: b"up" in log.read_bytes(),
        cwd=folder,
        start_deadline_s=10.0,
        stop_deadline_s=stop_deadline_s,
    )


class TestSettings:
    @pytest.mark.usefixtures("environment")
    def test_defaults_start_everything_locally(self) -> None:
        settings = load_settings()
        assert (settings.kafka_url, settings.database_url, settings.api_host) == (None, None, "127.0.0.1")
        assert settings.data_dir == PROJECT / ".faultline"

    def test_empty_variable_is_absent(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("FAULTLINE_KAFKA_URL", "")
        assert load_settings().kafka_url is None

    def test_wrong_value_is_one_line_that_names_the_variable_and_hides_the_value(
        self, environment: pytest.MonkeyPatch
    ) -> None:
        environment.setenv("FAULTLINE_PARTITIONS", "hunter2")
        with pytest.raises(ConfigurationError, match="FAULTLINE_PARTITIONS") as caught:
            load_settings()
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_secrets_are_not_shown(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("FAULTLINE_DATABASE_URL", "postgresql://u:hunter2@h/d")
        environment.setenv("FAULTLINE_WEBHOOK_SECRET", "whsec_hunter2")
        assert "hunter2" not in repr(load_settings())

    def test_children_get_the_urls_and_a_cache_for_numba(self, tmp_path: Path) -> None:
        made = child_environment({"FAULTLINE_KAFKA_URL": "h:1"}, Settings(cache_dir=tmp_path))
        assert made["FAULTLINE_KAFKA_URL"] == "h:1"
        assert made["NUMBA_CACHE_DIR"].startswith(str(tmp_path))

    def test_kernels_of_another_source_code_are_kept_elsewhere(
        self, environment: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        core = tmp_path / "processors"
        core.mkdir()
        environment.setattr("runtime.settings.PROJECT", tmp_path)

        def folder(code: str) -> str:
            (core / "called.py").write_text(code)
            environment.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
            keep_kernels_apart()
            first = os.environ["NUMBA_CACHE_DIR"]
            keep_kernels_apart()  # as a child does, which has it from its parent
            assert os.environ["NUMBA_CACHE_DIR"] == first
            return first

        old = folder("a = 1")
        assert Path(old).parent == tmp_path / "numba"
        assert folder("a = 2") != old
        assert folder("a = 1") == old

    def test_kernels_of_another_source_code_are_removed_a_month_after_their_last_use(
        self, environment: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        environment.setenv("NUMBA_CACHE_DIR", str(tmp_path))
        keep_kernels_apart()
        own = Path(os.environ["NUMBA_CACHE_DIR"])
        now_s = own.stat().st_mtime
        used, unused, half_removed, foreign = (
            tmp_path / name for name in ("0123456789abcdef", "f" * 16, f"{'e' * 16}.77", "processors_1")
        )
        for made, days in ((used, 29), (unused, 31), (half_removed, 31), (foreign, 31), (own, 31)):
            made.mkdir(exist_ok=True)
            (made / "kernel.nbc").touch()
            os.utime(made, (now_s - days * 86_400,) * 2)
        with ThreadPoolExecutor(4) as workers:
            list(workers.map(lambda _: keep_kernels_apart(), range(8)))
        assert {left.name for left in tmp_path.iterdir()} == {own.name, used.name, foreign.name}
        assert (own / "kernel.nbc").exists()
        assert own.stat().st_mtime >= now_s


class TestProjectFolder:
    def test_second_owner_is_told_who_has_it(self, tmp_path: Path) -> None:
        with ProjectFolder(tmp_path), pytest.raises(ConfigurationError, match=str(os.getpid())):
            ProjectFolder(tmp_path).__enter__()
        with ProjectFolder(tmp_path):  # freed again
            pass

    def test_port_is_kept_until_somebody_takes_it(self, tmp_path: Path) -> None:
        with ProjectFolder(tmp_path) as folder:
            first = folder.port("kafka")
        with ProjectFolder(tmp_path) as folder, socket.socket() as other:
            assert folder.port("kafka") == first
            other.bind(("127.0.0.1", first))
            other.listen()
            assert folder.port("kafka") == first  # ours, as far as this run is concerned
            assert not port_is_free(first)
            with_a_stranger = ProjectFolder(tmp_path)
            second = with_a_stranger.port("kafka")
            assert second != first
            assert with_a_stranger.port("postgres") != second
        with ProjectFolder(tmp_path) as folder:
            assert folder.port("kafka") == second

    @pytest.mark.parametrize("state", ["", "{", "[]", '{"ports": 3}', '{"ports": {"kafka": "x"}}'])
    def test_broken_state_counts_as_none(self, tmp_path: Path, state: str) -> None:
        with ProjectFolder(tmp_path) as folder:
            (folder.run / "state.json").write_text(state)
            assert folder.ports() == {}
            assert folder.port("kafka") > 0

    def test_folder_that_cannot_be_made_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError, match="can't be written"):
            ProjectFolder(tmp_path / "file").__enter__()


class TestProcesses:
    def test_starts_and_stops_cleanly(self, supervisor: Supervisor, tmp_path: Path) -> None:
        child = supervisor.start(spec_of(tmp_path, SLEEPER))
        assert child.await_ready() > 0
        assert json.loads((tmp_path / "child.pid").read_text())["pid"] == child.pid
        assert supervisor.stop() == []
        assert child.returncode == -signal.SIGTERM
        assert not (tmp_path / "child.pid").exists()

    def test_starting_anew_replaces_what_has_exited(self, supervisor: Supervisor, tmp_path: Path) -> None:
        first = supervisor.start(spec_of(tmp_path, SLEEPER))
        first.await_ready()
        os.kill(first.pid, signal.SIGKILL)
        assert wait_until(lambda: first.returncode is not None, 5.0)
        second = supervisor.start(first.spec)
        second.await_ready()
        assert supervisor.children == (second,)
        assert supervisor.stop() == []

    def test_stops_in_reverse_order(self, supervisor: Supervisor, tmp_path: Path) -> None:
        order = tmp_path / "order"
        code = (
            "import signal, sys, pathlib\n"
            "def end(*_):\n"
            f"    with pathlib.Path({str(order)!r}).open('a') as file: file.write(sys.argv[1])\n"
            "    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nsignal.pause()"
        )
        for name in "abc":
            supervisor.start(spec_of(tmp_path, (sys.executable, "-I", "-S", "-c", code, name), name)).await_ready()
        assert supervisor.stop() == []
        assert order.read_text() == "cba"

    def test_kills_what_ignores_the_signal(self, supervisor: Supervisor, tmp_path: Path) -> None:
        child = supervisor.start(spec_of(tmp_path, STUBBORN, stop_deadline_s=0.2))
        child.await_ready()
        assert supervisor.stop() == [child]
        assert child.returncode == -signal.SIGKILL

    def test_exit_at_start_is_reported_with_its_last_words(self, supervisor: Supervisor, tmp_path: Path) -> None:
        argv = (sys.executable, "-I", "-S", "-c", "import sys; sys.exit('no such luck')")
        child = supervisor.start(spec_of(tmp_path, argv))
        with pytest.raises(Unavailable, match=r"exited with 1 at start.*no such luck"):
            child.await_ready()

    def test_last_words_are_those_of_the_child_itself(self, supervisor: Supervisor, tmp_path: Path) -> None:
        for words in ("first", "second"):
            code = f"import sys; sys.exit({words!r})"
            child = supervisor.start(spec_of(tmp_path, (sys.executable, "-I", "-S", "-c", code)))
            with pytest.raises(Unavailable):
                child.await_ready()
        assert child.spec.log_file.read_bytes() == b"first\nsecond\n"
        assert child.last_words() == f"{child.spec.log_file}: second"

    def test_program_that_is_not_there(self, supervisor: Supervisor, tmp_path: Path) -> None:
        child = supervisor.start(spec_of(tmp_path, ("/no/such/program",)))
        with pytest.raises(Unavailable, match=r"/no/such/program|No such file"):
            child.await_ready()

    def test_child_dies_with_a_killed_parent(self, tmp_path: Path) -> None:
        parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT, str(tmp_path), *SLEEPER],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
        )
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        identity = ProcessIdentity.of(pid)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        assert identity is not None
        assert wait_until(lambda: not identity.alive(), 5.0)

    def test_leftover_is_cleared_and_a_stranger_is_not(self, tmp_path: Path) -> None:
        leftover, stranger = (subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL) for _ in range(2))
        identity = ProcessIdentity.of(leftover.pid)
        assert identity is not None
        stop = {"stop_signal": 15, "stop_deadline_s": 5.0}
        (tmp_path / "old.pid").write_text(json.dumps({"pid": leftover.pid, "started": identity.started, **stop}))
        (tmp_path / "reused.pid").write_text(json.dumps({"pid": stranger.pid, "started": "another time", **stop}))
        (tmp_path / "torn.pid").write_text('{"pid": 1')
        supervisor = Supervisor(tmp_path)
        try:
            assert supervisor.clear_stale() == ["old"]
            assert leftover.wait(5) == -signal.SIGTERM
            assert stranger.poll() is None
            assert list(tmp_path.glob("*.pid")) == []
        finally:
            supervisor.stop()
            stranger.kill()
            stranger.wait()

    def test_a_zombie_counts_as_gone(self) -> None:
        process = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
        identity = ProcessIdentity.of(process.pid)
        assert identity is not None
        process.kill()
        assert wait_until(lambda: not identity.alive(), 5.0)  # nobody has waited for it yet
        process.wait()

    def test_postgres_lock_of_a_stranger_is_removed_and_a_dead_one_left(self, tmp_path: Path) -> None:
        lock = tmp_path / "postmaster.pid"
        lock.write_text(f"{os.getpid()}\n{tmp_path}\n")
        _clear_lock(tmp_path)
        assert not lock.exists()
        gone = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
        gone.wait()
        lock.write_text(f"{gone.pid}\n{tmp_path}\n")
        _clear_lock(tmp_path)
        assert lock.exists()


_PARENT = """
import sys, pathlib, threading
from runtime.services.processes import Supervisor, ProcessSpec
folder = pathlib.Path(sys.argv[1])
spec = ProcessSpec(name="child", argv=tuple(sys.argv[2:]), log_file=folder / "log", cwd=folder,
                   ready=lambda: b"up" in (folder / "log").read_bytes())
children = []
thread = threading.Thread(target=lambda: children.append(Supervisor(folder).start(spec)))
thread.start()
thread.join()  # the thread that asked is gone; the child must not be
children[0].await_ready()
print(children[0].pid, flush=True)
threading.Event().wait()
"""


class TestCommandLine:
    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime", *arguments],
            cwd=PROJECT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_help_lists_all_commands_without_importing_them(self) -> None:
        code = (
            "import sys\nfrom runtime.__main__ import application\n"
            "try:\n    application(['--help'])\nexcept SystemExit: pass\n"
            "heavy = {'numba', 'scipy', 'confluent_kafka', 'faust', 'psycopg'}\n"
            "print([name for name in sys.modules if name.split('.')[0] in heavy])"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
        for name in COMMANDS:
            assert f" {name} " in done.stdout
        assert done.stdout.strip().endswith("[]")

    def test_configuration_error_is_one_line_and_status_2(self) -> None:
        done = self.run("doctor", FAULTLINE_API_PORT="70000")
        assert done.returncode == 2
        assert done.stderr.startswith("faultline: ")
        assert done.stderr.count("\n") == 1

    def test_doctor_answers_in_json_and_finds_what_is_missing(self) -> None:
        done = self.run("doctor", "--json", FAULTLINE_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:9/x")
        report = json.loads(done.stdout)
        assert done.returncode == 1
        database = next(check for check in report["checks"] if check["name"] == "database")
        assert not database["ok"]
        assert database["remedy"]
        assert "hunter2" not in done.stdout + done.stderr


class TestLogging:
    def record(self, name: str, created: float) -> logging.LogRecord:
        record = logging.LogRecord(name, logging.WARNING, __file__, 1, "said", None, None)
        record.created = created
        return record

    def test_library_records_are_bounded_and_the_rest_counted(self) -> None:
        limit = RateLimit(burst=3, window_s=10.0)
        assert sum(limit.filter(self.record("aiokafka.conn", 100.0)) for _ in range(50)) == 3
        after = self.record("aiokafka.conn", 111.0)
        assert limit.filter(after)
        assert after.__dict__["suppressed"] == 47

    def test_our_own_records_are_not_bounded(self) -> None:
        limit = RateLimit(burst=3, window_s=10.0)
        assert all(limit.filter(self.record("streams.lane", 100.0)) for _ in range(50))


class TestBootstrap:
    def test_in_step_only_with_the_same_lock_and_all_groups(self, tmp_path: Path) -> None:
        (tmp_path / "uv.lock").write_text("lock 1")
        assert not bootstrap.in_step(tmp_path, set())
        python = tmp_path / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
        (tmp_path / ".venv" / "synced.lock").write_text("lock 1")
        (tmp_path / ".venv" / "synced.groups").write_text("dev rag")
        assert bootstrap.in_step(tmp_path, {"dev"})
        assert not bootstrap.in_step(tmp_path, {"dev", "cache"})
        (tmp_path / "uv.lock").write_text("lock 2")
        assert not bootstrap.in_step(tmp_path, set())

    def test_the_lock_leaves_pytorch_out_and_its_own_command_adds_it(self) -> None:
        assert '\nname = "torch"\n' not in (PROJECT / "uv.lock").read_text(encoding="utf-8")
        command = bootstrap.unlocked(Path("uv"))
        # in the project's folder its overrides would hold, and leave the package out without a word
        assert command[command.index("--directory") + 1] == "/"
        assert command[-1] == f"{PROJECT / 'pyproject.toml'}:torch"


class TestEntryScript:
    """The script on a made-up checkout whose Python only says how it was called."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        root = tmp_path / "a checkout"
        (root / "runtime").mkdir(parents=True)
        shutil.copy(PROJECT / "faultline", root)
        (root / "uv.lock").write_text("lock 1")
        python = root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\necho "$PWD|$PYTHONPATH|$PYTHONSAFEPATH|$*"\n')
        python.chmod(0o755)
        (root / ".venv" / "synced.lock").write_text("lock 1")
        (root / "runtime" / "bootstrap.py").write_text("import sys\nprint('set up', *sys.argv[1:])\n")
        return root

    def call(self, script: Path, cwd: Path, *arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(
            [script, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=True
        ).stdout

    def test_runs_from_any_folder_and_through_links(self, checkout: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "first").symlink_to("../a checkout/faultline")
        (tmp_path / "second").symlink_to(elsewhere / "first")
        said = self.call(tmp_path / "second", elsewhere, "play", "a b")
        assert said == f"{elsewhere}|{checkout}|1|-m runtime play a b\n"

    def test_sets_up_when_the_lock_has_changed(self, checkout: Path) -> None:
        (checkout / "uv.lock").write_text("lock 2")
        assert self.call(checkout / "faultline", checkout, "up").splitlines()[0] == "set up"

    def test_sets_up_with_groups_and_runs_nothing(self, checkout: Path) -> None:
        assert self.call(checkout / "faultline", checkout, "bootstrap", "dev", "rag") == "set up dev rag\n"


@pytest.mark.parametrize("value", [0, 2**128 - 1, 0xFB << 120])
def test_cluster_id_is_no_option(value: int) -> None:
    text = _cluster_id(uuid.UUID(int=value))
    assert len(text) == 22
    assert not text.startswith("-")


def test_platforms() -> None:
    assert postgres_platform("darwin", "arm64") == "darwin-arm64v8"
    with pytest.raises(ConfigurationError, match="riscv64"):
        postgres_platform("linux", "riscv64")
