"""A local OpenSearch on loopback: one node with k-NN and neural search, for the assistant's documents.

Invariants: its programs are arranged once per cache, whole or not at all; its data are a copy of documents that lie
elsewhere, so it runs at low priority and nothing waits for it but the assistant.
"""

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from contracts.errors import ConfigurationError, Unavailable
from runtime.services.folder import LOOPBACK, ProjectFolder
from runtime.services.jars import JarCache
from runtime.services.processes import ProcessSpec

_LAUNCHER: Final = Path(__file__).with_name("OpenSearchNode.java")
_HEAP: Final = ("-Xms256m", "-Xmx256m", "-XX:MaxDirectMemorySize=64m", "-XX:+ExitOnOutOfMemoryError")
_JAVA_OPTIONS: Final = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=48m",
    "-Djava.awt.headless=true",
    "-Dlog4j2.disable.jmx=true",
    "-Djna.nosys=true",
    "-Dio.netty.allocator.numDirectArenas=1",
)
#: k-NN extends painless, which is found only as a module: a folder with a descriptor, not on the class path.
_MODULES: Final = {
    "lang-painless": (
        "org.opensearch.painless.PainlessPlugin",
        "",
        ("lang-painless-*.jar", "opensearch-scripting-painless-spi-*.jar", "asm*.jar", "antlr4-runtime-*.jar"),
    ),
    "analysis-common": (
        "org.opensearch.analysis.common.CommonAnalysisPlugin",
        "lang-painless",
        ("analysis-common-*.jar",),
    ),
    "ingest-common": ("org.opensearch.ingest.common.IngestCommonPlugin", "lang-painless", ("ingest-common-*.jar",)),
}
_PLUGINS: Final = {"opensearch-knn": "opensearch-knn-*.zip", "opensearch-neural-search": "neural-search-*.zip"}
_ON_CLASS_PATH: Final = (
    "org.opensearch.script.expression.ExpressionPlugin",
    "org.opensearch.script.mustache.MustachePlugin",
    "org.opensearch.index.mapper.MapperExtrasPlugin",
    "org.opensearch.join.ParentJoinPlugin",
    "org.opensearch.index.reindex.ReindexPlugin",
    "org.opensearch.transport.Netty4Plugin",
)
_DESCRIPTOR: Final = """\
description={name}
version={version}
name={name}
classname={class_name}
java.version=11
opensearch.version={version}
custom.foldername=
extended.plugins={extends}
has.native.controller=false
"""
_SETTINGS: Final = """\
cluster.name: faultline
node.name: node-1
network.host: {host}
http.port: {port}
transport.port: {transport_port}
discovery.type: single-node
path.data: "{data}"
path.logs: "{logs}"
action.auto_create_index: false
cluster.routing.allocation.disk.threshold_enabled: false
"""
_LOGGING: Final = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""
_NICE: Final = "10"
_PROBE_S: Final = 2.0


class OpenSearch:
    """OpenSearch in a project folder.

    Parameters
    ----------
    folder : ProjectFolder
        Owned by this process.
    cache : JarCache
        Where its jars come from, and where its arranged programs lie.
    java : str, optional
        The Java program, 17 or newer.
    """

    name = "opensearch"

    def __init__(self, folder: ProjectFolder, cache: JarCache, java: str | None) -> None:
        self._folder = folder
        self._cache = cache
        self._java = java

    @property
    def url(self) -> str:
        """Where it will answer; known before it runs."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._folder.port(self.name)}"

    def prepare(self, note: Callable[[str], None]) -> ProcessSpec:
        """Arrange the fetched jars, write the configuration; return what to start.

        Parameters
        ----------
        note : Callable[[str], None]
            Told what a person should know, in one line.

        Returns
        -------
        spec : ProcessSpec

        Raises
        ------
        ConfigurationError
            Java isn't installed.
        Unavailable
            The launcher can't be compiled.
        """
        del note  # nothing to say
        if self._java is None:
            raise ConfigurationError("Java is missing, set FAULTLINE_OPENSEARCH_URL or use --without search")
        programs = self._programs(self._java)
        home = self._folder.path / "opensearch"
        configuration = home / "config"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        text = _SETTINGS.format(
            host=LOOPBACK,
            port=self._folder.port(self.name),
            transport_port=self._folder.port("opensearch-transport"),
            data=home / "data",
            logs=home / "logs",
        )
        (configuration / "opensearch.yml").write_text(text, encoding="utf-8")
        nice = shutil.which("nice")
        return ProcessSpec(
            name=self.name,
            argv=(
                *((nice, "-n", _NICE) if nice else ()),
                self._java,
                *_HEAP,
                *_JAVA_OPTIONS,
                "-cp",
                self._class_path(programs),
                "OpenSearchNode",
                str(programs),
                str(configuration),
                *_ON_CLASS_PATH,
            ),
            log_file=self._folder.logs / "opensearch.log",
            ready=self._answers,
            cwd=home,
            start_deadline_s=120.0,
            stop_deadline_s=20.0,
            clean_exits=frozenset({0, -15, 143}),
        )

    def finish(self) -> None:
        """Do nothing: it serves."""

    def _class_path(self, programs: Path) -> str:
        jars = self._cache.jars_of("search")
        moved = {path.name for path in programs.glob("modules/*/*.jar")}
        listed = [path for path in sorted(jars.glob("*.jar")) if path.name not in moved and "ecj" not in path.name]
        return ":".join(map(str, [programs / "classes", *listed]))

    def _programs(self, java: str) -> Path:
        """Return the arranged modules, plugins and launcher; make them if they aren't there."""
        jars = self._cache.jars_of("search")
        target = self._cache.folder / "opensearch" / jars.name
        if target.exists():
            return target
        with self._cache.locked("search"):
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=target.parent) as name:
                    _arrange(jars, Path(name) / "programs", java)
                    (Path(name) / "programs").rename(target)
        return target

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/_cluster/health", timeout=_PROBE_S)
        except httpx.HTTPError:
            return False
        return answer.is_success and answer.json()["status"] in {"green", "yellow"}


def _arrange(jars: Path, target: Path, java: str) -> None:
    version = _only(jars, "opensearch-core-*.jar").stem.removeprefix("opensearch-core-")
    for name, (class_name, extends, patterns) in _MODULES.items():
        folder = target / "modules" / name
        folder.mkdir(parents=True)
        text = _DESCRIPTOR.format(name=name, version=version, class_name=class_name, extends=extends)
        (folder / "plugin-descriptor.properties").write_text(text, encoding="ascii")
        for pattern in patterns:
            for jar in jars.glob(pattern):
                shutil.copy2(jar, folder)
    for name, pattern in _PLUGINS.items():
        with zipfile.ZipFile(_only(jars, pattern)) as archive:
            archive.extractall(target / "plugins" / name)
    command = [java, "-cp", str(_only(jars, "ecj-*.jar")), "org.eclipse.jdt.internal.compiler.batch.Main"]
    command += ["-17", "-nowarn", "-cp", ":".join(map(str, jars.glob("*.jar")))]
    command += ["-d", str(target / "classes"), str(_LAUNCHER)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable("opensearch", f"its launcher doesn't compile: {(done.stderr or done.stdout)[-400:]}")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ConfigurationError(f"{folder} should hold one {pattern}, holds {len(found)}: remove that folder")
    return found[0]
