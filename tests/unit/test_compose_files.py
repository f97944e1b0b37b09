"""The compose stack, its image and its dashboards are what the code says, and keep to what makes them safe to start."""

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose.health import main as health
from contracts import units
from contracts.features import FEATURES
from runtime.__main__ import COMMANDS
from runtime.bootstrap import UV
from runtime.settings import PREFIX, PROJECT, Settings

FOLDER = PROJECT / "compose"
STACK: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("faultline:")]
SECRETS = {"POSTGRES_PASSWORD", "GRAFANA_DATABASE_PASSWORD", "GRAFANA_ADMIN_PASSWORD", "MQTT_PASSWORD"}
#: Set by the image, for what isn't ours.
FOREIGN = {"NUMBA_CACHE_DIR", "PATH", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def known_variables() -> set[str]:
    return {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def dockerfile() -> str:
    return (FOLDER / "Dockerfile").read_text(encoding="utf-8")


# --- dashboards -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")  # the form that Grafana provisions
def test_dashboards_are_what_the_code_makes() -> None:
    from compose.dashboards import DASHBOARDS, rendered

    dashboards = FOLDER / "grafana" / "dashboards"
    assert {path.stem for path in dashboards.glob("*.json")} == set(DASHBOARDS)
    for name in DASHBOARDS:
        stored = (dashboards / f"{name}.json").read_text(encoding="utf-8")
        assert stored == rendered(name), f"{name}: run python -m compose.dashboards"


@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")
def test_every_unit_that_is_measured_or_computed_has_one_in_grafana() -> None:
    from compose.panels import UNITS

    measured = {unit for by_quantity in units.UNITS.values() for unit in by_quantity}
    assert measured | {feature.unit for feature in FEATURES} <= set(UNITS)


def test_dashboards_read_the_provisioned_data_source_alone() -> None:
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/faultline.yaml").read_text(encoding="utf-8"))
    [known] = source["datasources"]
    for path in (FOLDER / "grafana/dashboards").glob("*.json"):
        board = json.loads(path.read_text(encoding="utf-8"))
        used = {json.dumps(found, sort_keys=True) for found in find_all(board, "datasource")}
        assert used == {json.dumps({"type": known["type"], "uid": known["uid"]}, sort_keys=True)}
        assert not board["editable"]


def find_all(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from ([node[key]] if key in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from find_all(item, key)


# --- the stack --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+\.\d+(-pg\d+)?", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_listens_beyond_loopback(name: str) -> None:
    service = SERVICES[name]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", []))
    if service.get("network_mode") == "host":
        assert service["environment"]["FAULTLINE_API_HOST"] == "127.0.0.1"


@pytest.mark.parametrize("name", OURS)
def test_our_services_name_commands_and_settings_that_exist(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][0] in COMMANDS
    assert set(service["environment"]) <= known_variables()


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_with_no_more_rights_than_they_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS and name != "reader"])
def test_servers_have_a_health_check_and_a_named_volume(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    named = {volume.partition(":")[0] for volume in service["volumes"] if not volume.startswith(".")}
    assert named == {name} <= set(STACK["volumes"])


def test_mounted_files_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume[0] == "."]
    assert mounts
    for mount in mounts:
        assert (FOLDER / mount.partition(":")[0]).exists(), mount
        assert mount.endswith(":ro")


def test_secrets_come_from_the_environment_file_and_have_no_default() -> None:
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (FOLDER / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert {name for name, value in example.items() if not value} >= SECRETS
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))
    assert used == set(example)
    for secret in SECRETS:
        assert not re.search(rf"(?<!\$)\$\{{{secret}(?!:\?)", text), f"{secret} must fail where it is unset"
    assert "compose/.env" in (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_kafka_and_opensearch_are_those_that_are_started_locally() -> None:
    pom = (PROJECT / "runtime/services/pom.xml").read_text(encoding="utf-8")
    assert SERVICES["kafka"]["image"].partition(":")[2] in re.findall(r"<version>([\d.]+)</version>", pom)
    assert "2.19.1" in pom
    assert SERVICES["opensearch"]["image"].endswith(":2.19.1")


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker client")
def test_docker_compose_takes_the_file(tmp_path: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("the docker client has no compose plugin")
    environment = tmp_path / "env"
    environment.write_text("".join(f"{name}=x\n" for name in SECRETS), encoding="utf-8")
    command = ["docker", "compose", "--file", str(FOLDER / "compose.yaml"), "--env-file", str(environment)]
    done = subprocess.run(
        [*command, "--profile", "*", "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- the image --------------------------------------------------------------------------------------------------------


def test_the_image_is_built_from_the_lock_in_stages_and_runs_unprivileged() -> None:
    text = dockerfile()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.13\.\d+-slim-bookworm", bases[0])
    assert UV in text
    assert "uv sync --locked" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    assert 'ENTRYPOINT ["python", "-m", "runtime"]' in text


def test_the_image_sets_only_what_is_known() -> None:
    names = set(re.findall(r"\b([A-Z_]+)=", dockerfile().split("COPY --from=build")[1]))
    assert names <= known_variables() | FOREIGN


def test_every_package_that_runs_is_in_the_image() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "compose", "loadtests"}
    assert {f"!{name}" for name in packages | {"schemas", "models"}} <= set(ignored)
    assert all((PROJECT / line[1:].partition("*")[0]).exists() for line in ignored if line.startswith("!"))


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


def test_health_looks_at_every_server_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert health([f"127.0.0.1:{port},other:1", "", f"postgresql://me:pw@127.0.0.1:{port}/db"]) == 0
            assert health([f"http://127.0.0.1:{port}/healthz"]) == 0
            assert health([f"http://127.0.0.1:{port}/readyz"]) == 1
        finally:
            server.shutdown()
            thread.join()
    assert health([f"127.0.0.1:{closed_port()}"]) == 1
    assert "unhealthy" in capsys.readouterr().err


def test_health_takes_a_process_at_its_word_while_that_is_new(tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    assert health([status.as_uri()]) == 1
    status.write_text('{"ready": true}', encoding="utf-8")
    assert health([status.as_uri()]) == 0
    os.utime(status, (1.0, 1.0))
    assert health([status.as_uri()]) == 1
    for other in ('{"ready": false}', "{", "{}"):
        status.write_text(other, encoding="utf-8")
        assert health([status.as_uri()]) == 1


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
