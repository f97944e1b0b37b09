"""Set up this checkout: uv, the locked environment, Java, Maven, Mosquitto, a browser for the tests.

Run by ``./faultline`` before anything is installed: standard library only (no package of ours or others is importable
yet), Python 3.11 or newer. Safe to run twice at once, safe to kill and run again: the copy of the lock that says "done"
is written last.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
UV: Final = "uv==0.13.9"
_INSTALL: Final = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
#: A group that the lock leaves out, for its size; what uv settles of the project would leave its package out, too.
_UNLOCKED: Final = "torch"
#: Programs that the tests of the live page can drive.
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_ENVIRONMENT: Final = ROOT / ".venv"
_TOOLS: Final = ROOT / ".tools"
_PACKAGES: Final = ("openjdk-17-jre-headless", "default-jre-headless")


class SetUpFailed(Exception):
    """A step failed; the message says which and what to do."""


def main() -> int:
    """Bring the environment in step with the lock, with the dependency groups asked for.

    Returns
    -------
    status : int
        0 when everything is in place, 1 otherwise.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("groups", nargs="*", help="dependency groups besides the core")
    parser.add_argument("--browser", action="store_true", help="also a browser, for the tests of the live page")
    given = parser.parse_args()
    wanted = set(given.groups)
    _TOOLS.mkdir(exist_ok=True)
    with (_TOOLS / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            groups = wanted | installed_groups(_ENVIRONMENT)
            if not in_step(ROOT, groups):
                sync(groups)
            install_java()
            install_mosquitto()
            if given.browser:
                install_browser()
        except SetUpFailed as error:
            print(f"faultline: {error}", file=sys.stderr)
            return 1
    return 0


def installed_groups(environment: Path) -> set[str]:
    """Return the dependency groups that the environment holds."""
    file = environment / "synced.groups"
    return set(file.read_text(encoding="utf-8").split()) if file.exists() else set()


def in_step(root: Path, groups: set[str]) -> bool:
    """Return whether the environment below `root` is that of its lock, with `groups`."""
    environment = root / ".venv"
    done = environment / "synced.lock"
    return (
        done.exists()
        and (environment / "bin" / "python").exists()
        and done.read_bytes() == (root / "uv.lock").read_bytes()
        and groups <= installed_groups(environment)
    )


def sync(groups: set[str]) -> None:
    """Install uv if it isn't there, then everything the lock names for `groups`.

    Raises
    ------
    SetUpFailed
        A step failed.
    """
    uv = _TOOLS / "bin" / "uv"
    if not (uv.exists() and _output([str(uv), "--version"]).split()[1:2] == [UV.partition("==")[2]]):
        _step(
            "preparing .tools",
            [sys.executable, "-m", "venv", str(_TOOLS)],
            "install Python's venv module (Debian: apt-get install python3-venv)",
        )
        _step(
            "installing uv",
            [str(_TOOLS / "bin" / "python"), "-m", "pip", "install", "-q", UV],
            "is a package index reachable?",
        )
    kept = _ENVIRONMENT / "bin" / "python"
    command = [str(uv), "sync", "--locked", "--no-progress", "--project", str(ROOT)]
    command += ["--python", str(kept if kept.exists() else sys.executable), "--no-python-downloads"]
    for group in sorted(groups):
        command += ["--group", group]
    names = ", ".join(["core", *sorted(groups)])
    (_ENVIRONMENT / "synced.lock").unlink(missing_ok=True)
    _step(f"installing the locked environment ({names})", command, "is a package index reachable?")
    if _UNLOCKED in groups:
        _step(f"installing {_UNLOCKED}, which isn't locked", unlocked(uv), "is a package index reachable?")
    (_ENVIRONMENT / "synced.groups").write_text(" ".join(sorted(groups)), encoding="utf-8")
    shutil.copyfile(ROOT / "uv.lock", _ENVIRONMENT / "synced.lock")


def unlocked(uv: Path) -> list[str]:
    """Return the command that adds the group that isn't locked; run in the root folder, where no overrides hold."""
    python, group = str(_ENVIRONMENT / "bin" / "python"), f"{ROOT / 'pyproject.toml'}:{_UNLOCKED}"
    return [str(uv), "pip", "install", "--no-progress", "--directory", "/", "--python", python, "--group", group]


def install_java() -> None:
    """Install Java and Maven where they are missing and this is root on Debian; otherwise say so and go on.

    Raises
    ------
    SetUpFailed
        The package manager failed.
    """
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if not missing:
        return
    if not _may_install():
        print(
            f"faultline: {' and '.join(missing)} missing: local Kafka and PostgreSQL need Java 17 or newer and Maven "
            "(Debian: sudo apt-get install openjdk-17-jre-headless maven; macOS: brew install openjdk@17 maven), "
            "or set FAULTLINE_KAFKA_URL and FAULTLINE_DATABASE_URL",
            file=sys.stderr,
        )
        return
    hint = "install Java 17 or newer and Maven by hand"
    _step("reading the package lists", ["apt-get", "update", "-q"], hint)
    java = next((name for name in _PACKAGES if _output(["apt-cache", "policy", name]).strip()), _PACKAGES[-1])
    packages = [*([java] if "java" in missing else []), *(["maven"] if "mvn" in missing else [])]
    _step(f"installing {' and '.join(packages)} (Debian packages; Kafka runs on Java)", [*_INSTALL, *packages], hint)


def install_browser() -> None:
    """Install Chromium where no browser is there and this is root on Debian; otherwise say so and go on.

    Raises
    ------
    SetUpFailed
        The package manager failed.
    """
    if any(shutil.which(program) for program in BROWSERS):
        return
    if not _may_install():
        print(
            "faultline: no browser: the tests of the live page are skipped (Debian: sudo apt-get install chromium)",
            file=sys.stderr,
        )
        return
    hint = "install Chromium by hand"
    _step("reading the package lists", ["apt-get", "update", "-q"], hint)
    _step("installing chromium (Debian package; the live page is tested in it)", [*_INSTALL, "chromium"], hint)


def _may_install() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install_mosquitto() -> None:
    """Install the MQTT broker where it is missing and this is root on Debian; nothing depends on it."""
    apt = shutil.which("apt-get")
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # a user's path lacks it
    if apt is None or os.geteuid() != 0 or shutil.which("mosquitto", path=path):
        return
    install = [apt, "install", "-q", "-y", "--no-install-recommends", "mosquitto"]
    try:
        if not _output(["apt-cache", "policy", "mosquitto"]).strip():
            _step("reading the package lists", [apt, "update", "-q"], "are Debian's servers reachable?")
        _step("installing mosquitto (Debian package; the MQTT broker of the demo)", install, "install it by hand")
    except SetUpFailed as error:
        print(f"faultline: {error}; assets stream without MQTT until then", file=sys.stderr)


def _step(title: str, command: list[str], hint: str) -> None:
    """Run a command with a line before and after; its own output is shown only when it fails."""
    print(f"faultline: {title} …", file=sys.stderr, flush=True)
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
        raise SetUpFailed(f"{title}: {Path(command[0]).name} exited with {done.returncode}; {hint}")
    print(f"faultline: {title}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
