"""Become another program that dies with its parent, and as another user where asked.

Run as a script, by path, with the standard library alone: ``launch.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENT…``
(UID and GID -1: unchanged). The kernel forgets the death signal when the user changes, so it is asked for after that;
this is why neither ``subprocess``'s ``user=`` nor a ``preexec_fn`` will do.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Change the user, ask for `SIGNAL` at the parent's death, and become the program.

    Parameters
    ----------
    argv : list[str]
        ``[PARENT_PID, SIGNAL, UID, GID, PROGRAM, ARGUMENT…]``.
    """
    parent, signal_number, uid, gid = (int(value) for value in argv[:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)
    os.execvp(argv[4], argv[4:])  # noqa: S606 (the program comes from our own specification, without a shell)


if __name__ == "__main__":
    main(sys.argv[1:])
