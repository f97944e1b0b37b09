"""Whatever a machine does: persistence, no chatter, episodes that alternate, restarts that change nothing."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.assets import AssetConfiguration, RuleSettings
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import Assessment, ChannelAssessment, Condition, ConditionState, Diagnosis, Zone
from processors.conditions import ConditionLogic

SECOND_NS = 10**9
FAULTS = (None, "outer_race", "inner_race", "unbalance", "sensor_dead")
#: (fault, zone, BPFO level dB, partial) of one window; a negative level stands for undecided.
WINDOWS = st.lists(
    st.tuples(
        st.sampled_from(FAULTS),
        st.sampled_from([None, *Zone]),
        st.integers(-1, 20),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=60,
)
Window = tuple[str | None, Zone | None, int, bool]


def config(raise_after: int = 3, clear_after: int = 5) -> AssetConfiguration:
    rules = RuleSettings(raise_after=raise_after, clear_after=clear_after)
    return AssetConfiguration(asset_id="P-101", site_id="south", name="Pump", asset_type="pump", rules=rules)


def assess(second: int, window: Window) -> Assessment:
    fault, zone, level_db, partial = window
    features: list[float | None] = [None] * len(FEATURE_NAMES)
    features[FEATURE_INDEX["bpfo_db"]] = None if level_db < 0 else float(level_db)
    found = Diagnosis(point_id="DE", channel_id="DE-a", fault=fault, confidence=0.8, evidence=()) if fault else None
    return Assessment(
        assessment_id=str(second),
        asset_id="P-101",
        site_id="south",
        window_start_ns=(second - 1) * SECOND_NS,
        window_end_ns=second * SECOND_NS,
        sampling_rate_hz=1000.0,
        n_samples=1000,
        partial=partial,
        speed_rpm=None,
        regime="r",
        catalogue_version=1,
        code_version="1",
        configuration_version="1",
        channels=(
            ChannelAssessment(
                channel_id="DE-a",
                point_id="DE",
                features=tuple(features),
                zone=zone,
                not_graded_because=None,
                scores=(),
            ),
        ),
        diagnoses=(found,) if found else (),
        zone=zone,
    )


def play(windows: list[Window], restart_at: int | None = None, raise_after: int = 3) -> list[Condition]:
    logic = ConditionLogic.build(config(raise_after), None)
    made: list[Condition] = []
    for second, window in enumerate(windows, start=1):
        if second == restart_at:
            logic = ConditionLogic.build(config(raise_after), logic.snapshot())
        made += logic.update(assess(second, window))
    return made


@given(WINDOWS, st.integers(1, 60))
def test_a_restart_anywhere_gives_the_same_future(windows: list[Window], restart_at: int) -> None:
    assert play(windows, restart_at) == play(windows)


@given(WINDOWS, st.integers(1, 6))
def test_nothing_is_raised_before_enough_windows(windows: list[Window], raise_after: int) -> None:
    whole = 0
    counts = []
    for window in windows:
        whole += not window[3]
        counts.append(whole)
    for made in play(windows, raise_after=raise_after):
        if made.state is ConditionState.RAISED:
            assert counts[made.at_ns // SECOND_NS - 1] >= raise_after


@given(WINDOWS)
def test_episodes_alternate_and_sequences_have_no_hole(windows: list[Window]) -> None:
    stands: dict[str, int] = {}
    for number, made in enumerate(play(windows), start=1):
        assert made.sequence == number
        if made.state is ConditionState.CLEARED:
            assert stands.pop(made.rule) == made.episode_started_at_ns
        else:
            assert stands.setdefault(made.rule, made.episode_started_at_ns) == made.episode_started_at_ns


@given(WINDOWS)
def test_a_raised_episode_lasts_at_least_clear_after_windows(windows: list[Window]) -> None:
    raised_at: dict[str, int] = {}
    for made in play(windows):
        if made.state is ConditionState.RAISED:
            raised_at.setdefault(made.rule, made.at_ns)
        else:
            assert made.at_ns - raised_at.pop(made.rule) >= 5 * SECOND_NS


@given(st.lists(st.sampled_from([Zone.B, Zone.C]), max_size=60))
def test_a_zone_that_dithers_around_the_bound_does_not_chatter(zones: list[Zone]) -> None:
    dither = [zone for pair in zip(zones, [Zone.B] * len(zones), strict=True) for zone in pair]
    assert play([(None, zone, 0, False) for zone in dither]) == []


@given(st.lists(st.integers(7, 14), min_size=1, max_size=60))
def test_a_level_within_the_deadband_never_clears(levels_db: list[int]) -> None:
    start: list[Window] = [("outer_race", Zone.A, 15, False)] * 3
    course: list[Window] = [("outer_race" if level >= 10 else None, Zone.A, level, False) for level in levels_db]
    assert [m.state for m in play(start + course)] == [ConditionState.RAISED]
