"""Who runs PostgreSQL, and where its files may lie.

PostgreSQL refuses to run as root, so root runs it as an unprivileged user. That user must reach its files; where it
can't (a checkout below ``/root``, say), they lie in ``/var/lib/faultline``. Permissions of folders that aren't ours
are never changed.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError

OUTSIDE: Final = Path("/var/lib/faultline")
_USER: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group to run a program as."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Return whom to run PostgreSQL as: ``nobody`` for root, else ``None`` (oneself).

    Raises
    ------
    ConfigurationError
        This is root and there is no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL doesn't run as root and there is no user {_USER!r} to run it as: "
            "add that user, run as another user, or set FAULTLINE_DATABASE_URL"
        ) from None
    return Account(user.pw_uid, user.pw_gid)


def reachable(folder: Path, account: Account | None) -> bool:
    """Return whether the account can enter `folder`; found by trying, so that every kind of permission counts."""
    if account is None:
        return True
    done = subprocess.run(
        [shutil.which("test") or "/usr/bin/test", "-x", str(folder)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return done.returncode == 0


def outside_of(folder: Path) -> Path:
    """Return the folder below ``/var/lib/faultline`` that belongs to `folder`."""
    return OUTSIDE / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def place_for(folder: Path, account: Account | None, name: str = "postgres") -> Path:
    """Return where the account's files of `folder` lie: in `folder` if it can enter it, else outside.

    Files that were there before the folder was closed to the account are moved outside.

    Parameters
    ----------
    folder : Path
        A folder of ours, existing.
    account : Account, optional
        Who has to reach the place; ``None`` for oneself.
    name : str
        Whose files they are.

    Returns
    -------
    place : Path
        An existing folder `name`, which the account owns.
    """
    inside = folder / name
    outside = outside_of(folder)
    if reachable(folder, account):
        place = inside
    else:
        place = outside / name
        for ours in (OUTSIDE, outside):
            ours.mkdir(exist_ok=True)
            ours.chmod(0o755)  # whatever the umask
        if inside.exists() and not place.exists():
            shutil.move(inside, place)
        (folder / "outside").write_text(str(outside), encoding="utf-8")  # `make clean` removes it by this
    place.mkdir(exist_ok=True)
    if account is not None:
        os.chown(place, account.uid, account.gid)
    return place
