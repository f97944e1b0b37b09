"""Run the ledger test: ``python -m tests.faults.ledger [--short] [--seed N] [--only FAULT]``."""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from runtime.services.places import outside_of
from tests.faults.ledger.audit import await_drained, settle
from tests.faults.ledger.faults import FAULTS, LONG_FAULTS, Fault
from tests.faults.ledger.load import SITE, assets, sendings
from tests.faults.ledger.rig import Ledger, Rig

_ASSETS: Final = 6
_SHORT: Final = (60.0, 6)
_LONG: Final = (1200.0, 20)
#: Blocks are sent this long after the newest can be in order.
_TAIL_S: Final = 10.0
_DRAIN_S: Final = 120.0
_BY_NAME: Final = {fault.__name__: fault for fault in (*FAULTS, *LONG_FAULTS)}


def main() -> int:
    """Run the load with its faults; return 0 when nothing is lost, doubled or different."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--short", action="store_true", help="60 s of load and 6 faults instead of 20 min and 20")
    parser.add_argument("--seed", type=int, default=20_816)
    parser.add_argument("--only", choices=sorted(_BY_NAME), help="this fault alone, once")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run")
    arguments = parser.parse_args()
    seconds, n_faults = _SHORT if arguments.short else _LONG
    faults = FAULTS if arguments.short else LONG_FAULTS
    kinds = [_BY_NAME[arguments.only]] if arguments.only else [faults[i % len(faults)] for i in range(n_faults)]
    folder = Path(tempfile.mkdtemp(prefix="faultline-ledger-"))
    folder.chmod(0o755)  # ours alone; PostgreSQL's user has to enter it
    try:
        return _run(folder, seconds, kinds, arguments.seed)
    finally:
        if not arguments.keep:
            shutil.rmtree(outside_of(folder), ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, seconds: float, kinds: list[Fault], seed: int) -> int:
    chance = random.Random(seed)
    rig = Rig(folder, _say)
    ledger = Ledger()
    try:
        rig.start(SITE, assets(_ASSETS))
        load = sendings(rig.codec, _ASSETS, seconds, seed, time.time_ns())
        sender = threading.Thread(target=ledger.send_all, args=(rig.urls.kafka, load, lambda _at_s: None))
        sender.start()
        struck = _strike(rig, chance, seconds, kinds)
        sender.join()
        drained_s = await_drained(rig.urls, rig.codec, ledger, _DRAIN_S)
        _say(f"drained {drained_s:.1f} s after the last record; workers started again {dict(rig.restarts)}")
        stopping_s = rig.stop_workers()
        _say("workers stopped in " + ", ".join(f"{took_s:.1f} s" for took_s in stopping_s))
        account = asyncio.run(settle(rig.urls, rig.codec, ledger, lambda *_: None))
    finally:
        rig.stop()
    print(json.dumps({"seed": seed, "drained_s": round(drained_s, 1), **account.details}))
    print(f"lost={account.lost} doubled={account.doubled} different={account.different} faults={struck}")
    return 1 if account.lost or account.doubled or account.different else 0


def _strike(rig: Rig, chance: random.Random, seconds: float, kinds: list[Fault]) -> int:
    """Let faults strike at random moments, in a shuffled order; return how many did."""
    began_s = time.monotonic()
    chance.shuffle(kinds)
    for number, fault in enumerate(kinds):
        slot_s = seconds / len(kinds)
        due_s = began_s + slot_s * number + chance.uniform(0.2, 0.8) * slot_s
        time.sleep(max(due_s - time.monotonic(), 0.0))
        _say(f"{time.monotonic() - began_s:6.1f} s  {fault.__name__}")
        fault(rig, chance)
    return len(kinds)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
