"""What blocks do to windows: pauses, losses, restarts, duplicates, lateness, and the bounds of what is kept."""

import msgspec
import numpy as np
import pytest

from contracts.assets import WindowSettings
from contracts.records import Acquisition, AcquisitionBlock, BlockChannel
from processors.cutting import CORRECTED, IN_TIME, Window
from processors.late import KEPT_BYTES
from processors.window import SampleWindows

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
RATE_HZ = 1000.0
N_SAMPLES = 250


class Device:
    """Blocks of a quarter of a second, windows of a second, and where the windows lie (seconds after the start)."""

    def __init__(self, n_channels: int = 1, **settings: float) -> None:
        self.windows = SampleWindows(WindowSettings(**settings), n_channels, RATE_HZ)
        self.n_channels = n_channels
        self.cut: list[Window] = []
        self.offset = 0
        self.ticked_ns = START_NS

    def send(self, *places: int, boot: str = "1", first: int = 0, device: str = "d", burst: bool = False) -> None:
        """Send the blocks that lie at these quarters of a second; `first` has the sequence number 0."""
        for place in places:
            samples = np.full((self.n_channels, N_SAMPLES), float(place), dtype="<f4")
            block = AcquisitionBlock(
                asset_id="A",
                device_id=device,
                boot_id=boot,
                sequence=place - first,
                start_ns=START_NS + place * SECOND_NS // 4,
                sampling_rate_hz=RATE_HZ,
                n_samples=N_SAMPLES,
                channels=tuple(BlockChannel(channel_id=str(c), quantity="q", unit="g") for c in range(self.n_channels)),
                samples=samples.tobytes(),
                acquisition=Acquisition.BURST if burst else Acquisition.CONTINUOUS,
            )
            self.cut += self.windows.push(self.offset, block, samples)
            self.offset += 1

    def rest(self, seconds: int) -> None:
        """Let nothing come for so long."""
        for _ in range(seconds + 1):
            self.cut += self.windows.tick(self.ticked_ns)
            self.ticked_ns += SECOND_NS

    def found(self, version: int = IN_TIME) -> list[tuple[float, float]]:
        """Return (start, length) of the windows cut so far, in seconds."""
        return [
            ((w.start_ns - START_NS) / SECOND_NS, (w.end_ns - w.start_ns) / SECOND_NS)
            for w in self.cut
            if w.version == version
        ]

    def holes(self) -> list[tuple[float, float, str]]:
        """Return (from, to, cause) of the holes since the last call, in seconds."""
        return [
            ((h.from_ns - START_NS) / SECOND_NS, (h.to_ns - START_NS) / SECOND_NS, h.cause)
            for h in self.windows.take_holes()
        ]


def test_a_lost_block_costs_its_window_and_leaves_the_grid_in_force() -> None:
    #   0    1    2    3    4    5
    #   |____|_x__|____|____|____|   x: the hole; the window that it lies in stays a quarter long
    device = Device()
    device.send(*range(5), *range(6, 24))
    assert device.found() == [(0, 1), (1, 0.25), (2, 1), (3, 1), (4, 1), (5, 1)]
    assert device.found(CORRECTED) == []
    assert device.holes() == [(1.25, 1.5, "lost")]


def test_a_late_block_completes_its_window_once() -> None:
    device = Device()
    device.send(*range(5), *range(6, 24), 5, 5)
    assert device.found(CORRECTED) == [(1, 1)]
    assert device.holes() == [(1.25, 1.5, "lost"), (1.25, 1.5, "late")]
    assert device.windows.needed_offsets() == {device.offset - 3}, "only the newest block is still needed"
    corrected = device.cut[-1]
    assert corrected.samples[0, ::N_SAMPLES].tolist() == [4.0, 5.0, 6.0, 7.0]


def test_a_window_of_which_half_comes_late_is_cut_short_once_more_when_it_is_final() -> None:
    device = Device(lateness_s=4.0)
    device.send(*range(5), *range(7, 24), 5)
    assert device.found(CORRECTED) == []
    device.send(*range(24, 40))
    assert device.found(CORRECTED) == [(1, 0.5)]
    assert device.windows.needed_offsets() == {device.offset - 1}


def test_what_comes_after_the_lateness_is_counted_and_changes_nothing() -> None:
    device = Device(lateness_s=4.0)
    device.send(*range(5), *range(6, 40), 5)
    assert device.found(CORRECTED) == []
    assert device.holes() == [(1.25, 1.5, "lost"), (1.25, 1.5, "too_late")]


def test_a_stream_that_comes_two_hours_late_in_order_loses_nothing() -> None:
    device = Device()
    device.send(*range(6))
    device.rest(8)
    assert device.found() == [(0, 1), (1, 0.5)], "closed by silence"
    device.rest(20)
    device.send(*range(6, 16))
    assert device.found() == [(0, 1), (1, 0.5), (2, 1), (3, 1)]
    assert device.found(CORRECTED) == [(1, 1)]
    device.rest(7_200)
    assert device.windows.needed_offsets() == set(), "silence beyond the lateness lets everything go"
    device.send(*range(16, 28))
    assert device.found()[4:] == [(4, 1), (5, 1), (6, 1)]
    assert device.holes() == []


def test_a_pause_by_sequence_number_begins_another_grid_and_waits_for_nothing() -> None:
    device = Device()
    device.send(0, 1, 2, 3)
    device.send(*range(13, 17), first=9)
    assert device.found() == [(0, 1), (3.25, 1)]
    assert device.holes() == [(1, 3.25, "idle")]


def test_another_boot_ends_the_run_and_blocks_of_the_last_are_duplicates_or_late() -> None:
    device = Device()
    device.send(0, 1, 3, 2, 4)
    device.send(*range(5, 9), boot="2", first=5)
    device.send(3, 4)
    assert device.found() == [(0, 1), (1, 0.25), (1.25, 1)]
    assert device.holes() == []
    assert device.windows._order.duplicates == 2


def test_the_same_boot_and_sequence_of_another_device_is_no_duplicate() -> None:
    device = Device()
    device.send(0, 1, 2, 3)
    device.send(4, 5, 6, 7, device="its replacement", first=4)
    assert device.found() == [(0, 1), (1, 1)]


@pytest.mark.parametrize("burst", [False, True])
def test_a_block_sent_again_changes_nothing(burst: bool) -> None:
    device = Device()
    device.send(0, 1, 2, 3, 0, 2, 3, burst=burst)
    assert len(device.found()) == (4 if burst else 1)
    assert device.windows._order.duplicates == 3


def test_what_is_kept_is_bounded_in_bytes_and_in_the_snapshot() -> None:
    one = Device(lateness_s=600.0, hop_s=0.5)
    wide = Device(n_channels=64, lateness_s=600.0)
    for device in (one, wide):
        for start in range(0, 4_000, 4):  # every fourth block is lost, and none ever comes
            device.send(start, start + 1, start + 2, device="edge-07-P-101-fast", boot="5f2c9a1e")
    kept = wide.windows._late.kept
    assert 0 < sum(block.samples.nbytes for block in kept if block.samples is not None) <= KEPT_BYTES
    assert len(msgspec.msgpack.encode(one.windows.snapshot())) <= 12 * 1024
    assert len(one.windows._late.pending) > 10
