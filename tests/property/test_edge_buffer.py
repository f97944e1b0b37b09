"""The buffer on disk: what it took survives a crash at any byte, a flipped bit costs one record, bounds hold."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from edge_forwarder.buffer import Buffer, BufferFull, Kept, Limits, Stream
from edge_forwarder.framing import FRAME_BYTES, Damage, Entry, frame, scan
from runtime.settings import PROJECT

SMALL = Limits(segment_bytes=400, waveforms_bytes=4_000, records_bytes=4_000, refusals_bytes=4_000)


def gaps(segment: str, payloads: Sequence[bytes]) -> list[bytes]:
    return [b"gap " + segment.encode() + b" " + b",".join(one[:4] for one in payloads)]


def opened(folder: Path, limits: Limits = SMALL) -> Buffer:
    return Buffer(folder, limits, gaps)


def drained(buffer: Buffer, *, advance: bool = True) -> list[Kept]:
    found: list[Kept] = []
    while batch := buffer.take(1_000):
        found += batch
        if advance:
            buffer.advance()
    return found


def payloads(kept: Sequence[Kept]) -> list[bytes]:
    return [one.payload for one in kept if not one.damaged]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A buffer whose process died: eight records over several segments and two streams."""
    folder = tmp_path_factory.mktemp("written")
    records = [bytes([65 + n]) * (90 + 7 * n) for n in range(8)]
    buffer = opened(folder)
    for n, record in enumerate(records):
        buffer.append([(Stream.WAVEFORMS if n % 3 else Stream.RECORDS, record)])
    return folder, records


def last_segment(folder: Path) -> Path:
    return max((folder / Stream.WAVEFORMS.value).glob("*.segment"))


def test_a_crash_at_every_byte_of_the_last_write_loses_at_most_that_write(
    written: tuple[Path, list[bytes]], tmp_path: Path
) -> None:
    folder, records = written
    whole = last_segment(folder).stat().st_size
    found = [(after, one) for after, one in scan(last_segment(folder).read_bytes()) if isinstance(one, Entry)]
    assert len(found) > 1
    for length in range(whole + 1):
        copy = tmp_path / str(length)
        shutil.copytree(folder, copy)
        with last_segment(copy).open("r+b") as file:
            file.truncate(length)
        buffer = opened(copy)
        torn = {one.number for end, one in found if end > length}
        assert payloads(drained(buffer, advance=False)) == [record for n, record in enumerate(records) if n not in torn]
        assert buffer.torn_bytes == length - max([0, *[end for end, _ in found if end <= length]])
        if length % 16 == 0:  # and it goes on; every byte would only test the disk's patience
            buffer.append([(Stream.WAVEFORMS, b"next")])
            assert payloads(drained(buffer)) == [b"next"]
        buffer.close()
        shutil.rmtree(copy)


@hypothesis_settings(max_examples=60)
@given(st.data())
def test_a_flipped_bit_costs_one_record_and_is_noticed(written: tuple[Path, list[bytes]], data: st.DataObject) -> None:
    folder, records = written
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        shutil.copytree(folder, copy)
        segment = data.draw(st.sampled_from(sorted(copy.glob("*/*.segment"))))
        content = bytearray(segment.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(content)
        buffer = opened(copy)
        found = drained(buffer)
        assert len(payloads(found)) == len(records) - 1
        assert set(payloads(found)) < set(records)
        assert buffer.damaged == sum(one.damaged for one in found)
        assert buffer.damaged == 1 or buffer.torn_bytes > 0
        buffer.close()


@given(st.lists(st.binary(max_size=300), max_size=6), st.binary(max_size=200))
def test_whole_frames_are_found_after_anything(contents: list[bytes], junk: bytes) -> None:
    data = junk + b"".join(frame(n, content) for n, content in enumerate(contents))
    found = [one for _, one in scan(data)]
    assert [one for one in found if isinstance(one, Entry)] == [Entry(n, content) for n, content in enumerate(contents)]
    assert b"".join(one.raw for one in found if isinstance(one, Damage)) == junk


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from(list(Stream)), min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["take", "advance", "crash"]), st.none()),
    ),
    max_size=40,
)


@hypothesis_settings(max_examples=40)
@given(ACTIONS)
def test_any_course_gives_everything_in_order_and_again_only_what_was_not_advanced(
    actions: list[tuple[str, list[Stream] | None]],
) -> None:
    roomy = Limits(segment_bytes=300, waveforms_bytes=10**6, records_bytes=10**6, refusals_bytes=10**6)
    with tempfile.TemporaryDirectory() as name:
        buffer = opened(Path(name), roomy)
        appended: list[bytes] = []
        taken = advanced = 0
        for action, streams in actions:
            if action == "append":
                new = [b"%d " % (len(appended) + n) * 20 for n in range(len(streams or ()))]
                buffer.append(list(zip(streams or (), new, strict=True)))
                appended += new
            elif action == "take":
                batch = payloads(buffer.take(150))
                assert batch == appended[taken : taken + len(batch)]
                assert batch or taken == len(appended)
                taken += len(batch)
            elif action == "advance":
                buffer.advance()
                advanced = taken
            else:
                buffer = opened(Path(name), roomy)  # the old one is left as a killed process leaves it
                taken = advanced
        assert payloads(drained(buffer)) == appended[taken:]
        buffer.close()


def test_full_waveforms_drop_their_oldest_and_say_so_in_gap_records(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    sent = [b"%04d" % n + b"." * 96 for n in range(200)]
    for one in sent:
        buffer.append([(Stream.WAVEFORMS, one)])
    assert buffer.size < SMALL.waveforms_bytes + SMALL.records_bytes + SMALL.segment_bytes
    found = drained(buffer)
    told = [one for one in found if one.stream is Stream.RECORDS]
    lost = [piece for one in told for piece in one.payload.split(b" ", 2)[2].split(b",")]
    kept = [one.payload for one in found if one.stream is Stream.WAVEFORMS]
    assert sorted([one[:4] for one in kept] + lost) == [one[:4] for one in sent]
    assert kept == sorted(kept)
    assert buffer.dropped[Stream.WAVEFORMS] == len(lost) > 0
    buffer.close()


def test_what_is_being_sent_is_not_dropped(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    sent = [b"%04d" % n + b"." * 96 for n in range(60)]
    for one in sent[:10]:
        buffer.append([(Stream.WAVEFORMS, one)])
    in_flight = payloads(buffer.take(300))
    for one in sent[10:]:
        buffer.append([(Stream.WAVEFORMS, one)])
    again = opened(tmp_path)  # killed before it was acknowledged
    assert payloads(again.take(300))[: len(in_flight)] == in_flight
    again.close()


def test_a_drop_that_a_crash_interrupts_is_told(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    sent = [b"%04d" % n + b"." * 96 for n in range(20)]
    for one in sent:
        buffer.append([(Stream.WAVEFORMS, one)])
    assert buffer._logs[Stream.WAVEFORMS].drop()  # and then the process is killed
    again = opened(tmp_path)
    again.append([(Stream.RECORDS, b"reading")])
    found = drained(again)
    (gap,) = [one.payload for one in found if one.payload.startswith(b"gap")]
    told = gap.split(b" ", 2)[2].split(b",")
    kept = [one.payload for one in found if one.stream is Stream.WAVEFORMS]
    assert all((one[:4] in told) != (one in kept) for one in sent)
    assert len(kept) < len(sent)
    again.close()


def test_full_records_block_and_lose_nothing(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    taken: list[bytes] = []
    for n in range(100):
        record = b"%04d" % n + b"." * 96
        try:
            buffer.append([(Stream.RECORDS, record)])
        except BufferFull:
            break
        taken.append(record)
    else:
        pytest.fail("never full")
    assert buffer.size <= SMALL.records_bytes
    assert payloads(drained(buffer)) == taken
    buffer.append([(Stream.RECORDS, b"again")])
    assert payloads(drained(buffer)) == [b"again"]
    buffer.close()


def test_sent_segments_are_removed(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for n in range(80):
        buffer.append([(Stream.RECORDS, b"%04d" % n + b"." * 96)])
        if n % 5 == 0:
            drained(buffer)
    drained(buffer)
    assert buffer.size <= 3 * (SMALL.segment_bytes + 100 + FRAME_BYTES)
    buffer.close()


def test_a_lost_position_means_repetition_not_loss(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.append([(Stream.RECORDS, b"a"), (Stream.RECORDS, b"b")])
    drained(buffer)
    (tmp_path / "position").write_text("999 0000")
    assert payloads(drained(opened(tmp_path))) == [b"a", b"b"]


def test_bounds_too_small_for_segments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least 5 segments"):
        opened(tmp_path, Limits(segment_bytes=100, waveforms_bytes=499))


FULL_DISK = """
import resource, sys
from pathlib import Path
from edge_forwarder.buffer import Buffer, Limits, Stream

buffer = Buffer(Path(sys.argv[1]), Limits(), lambda name, dropped: [])
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
kept, refused = [], 0
for n in range(100):
    record = b"%04d" % n + b"." * 3_000 if n % 10 == 9 else b"%04d" % n + b"." * 96
    try:
        buffer.append([(Stream.RECORDS, b"first of two"), (Stream.WAVEFORMS, record)])
        kept.append(record)
    except OSError:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
last = b"resumed" * 1_000
buffer.append([(Stream.WAVEFORMS, last)])
again = Buffer(Path(sys.argv[1]), Limits(), lambda name, dropped: [])
for one in (buffer, again):
    found = one.take(10**9)
    assert [k.payload for k in found if k.stream is Stream.WAVEFORMS] == [*kept, last], "another history"
    assert sum(k.stream is Stream.RECORDS for k in found) == len(kept), "half a batch"
    assert not any(k.damaged for k in found)
assert one.torn_bytes == 0
print(len(kept), refused)
"""


def test_a_full_disk_refuses_whole_batches_and_keeps_the_rest(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept, refused = map(int, done.stdout.split())
    assert kept > 50
    assert refused >= 10
