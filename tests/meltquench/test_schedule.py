"""Schedules: steps, targets, the melt, names, and what is refused."""

import pytest
from hypothesis import given, strategies as st

from amorph.meltquench import SHIPPED, QuenchSchedule, Segment, named
from amorph.meltquench.schedule import Schedule
from amorph.parameters import parse


def hold(name="hold", kelvin=300.0, ps=1.0, ensemble="NVT"):
    return Segment(name, ensemble, kelvin, kelvin, ps)


def ramp(start=3000.0, end=300.0, ps=1.0):
    return Segment("quench", "NVT", start, end, ps)


def stage(schedule: Schedule = "kawaguchi2025"):
    """Stand in for a stage that takes a schedule."""


# closed form


def test_the_published_schedule_number_for_number():
    schedule = named("kawaguchi2025")
    melt, quench = schedule.segments
    assert (melt.start_K, melt.end_K, melt.duration_ps) == (3000.0, 3000.0, 10.0)
    assert (quench.start_K, quench.end_K, quench.duration_ps) == (3000.0, 300.0, 20.0)
    assert (schedule.timestep_fs, schedule.damping_time_ps) == (1.0, 0.02)
    assert schedule.spans == ((0, 10_000), (10_000, 30_000))
    (equilibrate,) = named("kawaguchi2025_equilibrate").segments
    assert (equilibrate.start_K, equilibrate.end_K, equilibrate.duration_ps) == (300.0, 300.0, 10.0)


def test_the_target_moves_with_every_step_and_a_boundary_belongs_to_the_segment_before():
    schedule = QuenchSchedule((hold(kelvin=1000.0, ps=0.004), ramp(1000.0, 200.0, 0.008)))
    assert [schedule.target_K(step) for step in range(13)] == [1000.0] * 5 + [
        900.0, 800.0, 700.0, 600.0, 500.0, 400.0, 300.0, 200.0,
    ]  # fmt: skip
    assert [schedule.index_at(step) for step in (0, 4, 5, 12)] == [0, 0, 1, 1]
    assert schedule.time_ps(12) == 0.012


def test_a_jump_between_segments_stays_a_jump():
    schedule = QuenchSchedule((hold(kelvin=1000.0, ps=0.002), hold(kelvin=300.0, ps=0.002)))
    assert [schedule.target_K(step) for step in range(5)] == [1000.0, 1000.0, 1000.0, 300.0, 300.0]


def test_durations_become_whole_steps():
    schedule = QuenchSchedule((hold(ps=1.0), hold(ps=1.0)), timestep_fs=1.5)
    assert schedule.spans == ((0, 667), (667, 1334))


@given(st.floats(0.0, 5000.0), st.floats(0.0, 5000.0), st.integers(1, 500))
def test_a_ramp_ends_exactly_where_it_should_and_stays_between(start, end, steps):
    schedule = QuenchSchedule((ramp(start, end, steps / 1000.0),))
    targets = [schedule.target_K(step) for step in range(steps + 1)]
    assert len(targets) == schedule.steps + 1
    assert (targets[0], targets[-1]) == (start, end)
    slack = 1e-9 * (start + end)  # rounding
    assert min(start, end) - slack <= min(targets) and max(targets) <= max(start, end) + slack


@pytest.mark.parametrize(
    ("segments", "melt"),
    [
        ((hold("melt", 3000.0), ramp()), (0, 1000)),
        ((ramp(300.0, 3000.0), hold("melt", 3000.0), ramp()), (1000, 2000)),
        ((hold("melt", 3000.0), hold("go on", 3000.0), ramp(), hold()), (0, 2000)),
        ((hold("melt", 3000.0), hold("drop", 300.0)), (0, 1000)),
        ((hold(),), None),
        ((ramp(300.0, 3000.0), hold("melt", 3000.0)), None),
        ((hold("melt", 3000.0), ramp(), ramp(300.0, 800.0), ramp(800.0, 300.0)), (0, 1000)),
    ],
)
def test_the_melt_is_the_hottest_hold_before_a_cooling(segments, melt):
    assert QuenchSchedule(segments).melt == melt


@pytest.mark.parametrize(
    ("segments", "melt"),
    [
        # 2.7 K a step: the target is 2700 K or more from 111.1 steps before the peak to 111.1 after it
        ((ramp(300.0, 3000.0), ramp(3000.0, 300.0)), (888, 1111)),
        ((ramp(300.0, 3000.0), ramp(3000.0, 300.0), hold()), (888, 1111)),
        ((hold(), ramp(300.0, 3000.0), ramp(3000.0, 300.0)), (1888, 2111)),
        ((ramp(300.0, 3000.0), hold("drop", 300.0)), (888, 1000)),
        # the last of two peaks
        ((ramp(300.0, 3000.0), ramp(), ramp(300.0, 3000.0), ramp()), (2888, 3111)),
        # a hold just below the peak belongs to it, whether before or after
        ((hold("m", 2800.0), ramp(2800.0, 3000.0), ramp(3000.0, 1000.0)), (0, 2150)),
        ((ramp(300.0, 3000.0), ramp(3000.0, 2800.0)), (888, 2000)),
        # nothing was heated, or nothing cooled
        ((ramp(3000.0, 300.0),), None),
        ((ramp(3000.0, 300.0), hold()), None),
        ((ramp(300.0, 3000.0),), None),
        ((hold(), ramp(300.0, 3000.0)), None),
    ],
)
def test_without_a_hold_the_melt_is_the_stretch_about_the_peak(segments, melt):
    assert QuenchSchedule(segments).melt == melt


@given(
    st.lists(st.tuples(st.floats(0.0, 5000.0), st.floats(0.0, 5000.0), st.integers(1, 40)), min_size=1, max_size=4),
)
def test_all_targets_at_once_are_those_of_each_step(ramps):
    schedule = QuenchSchedule(tuple(ramp(start, end, steps / 1000.0) for start, end, steps in ramps))
    assert schedule._targets_K().tolist() == [schedule.target_K(step) for step in range(schedule.steps + 1)]


@given(
    st.lists(
        st.tuples(st.floats(1.0, 5000.0), st.floats(1.0, 5000.0), st.integers(1, 30), st.sampled_from(["NVT", "NPT"])),
        min_size=1,
        max_size=4,
    )
)
def test_the_recent_target_is_the_highest_of_ten_damping_times(ramps):
    schedule = QuenchSchedule(
        tuple(Segment("s", ensemble, start, end, steps / 1000.0) for start, end, steps, ensemble in ramps),
        damping_time_ps=0.001,
        nose_hoover_time_ps=0.002,
    )
    targets = [schedule.target_K(step) for step in range(schedule.steps + 1)]
    for step in range(schedule.steps + 1):
        back = 10 if schedule.segments[schedule.index_at(step)].ensemble == "NVT" else 20
        assert schedule.recent_target_K(step) == pytest.approx(max(targets[max(0, step - back) : step + 1]))


def test_a_jump_is_forgotten_after_ten_damping_times_and_at_once_without_a_thermostat():
    schedule = QuenchSchedule((hold("melt", 3000.0), hold("glass", 300.0)), damping_time_ps=0.02)
    assert [schedule.recent_target_K(step) for step in (0, 1000, 1001, 1200, 1201)] == [3000.0] * 4 + [300.0]
    free = QuenchSchedule((hold("melt", 3000.0), hold("free", 300.0, ensemble="NVE")), damping_time_ps=0.02)
    assert [free.recent_target_K(step) for step in (1000, 1001)] == [3000.0, 300.0]


# from files


def test_a_table_of_a_file_is_a_schedule():
    values = {
        "timestep_fs": 2,
        "segments": [{"name": "melt", "ensemble": "NPT", "start_K": 3000, "end_K": 3000, "duration_ps": 1}],
    }
    schedule = parse(stage, {"schedule": values})["schedule"]
    assert schedule == QuenchSchedule((hold("melt", 3000.0, ensemble="NPT"),), timestep_fs=2.0)
    assert parse(stage, {"schedule": schedule})["schedule"] is schedule


@pytest.mark.parametrize("name", SHIPPED)
def test_names_stand_for_shipped_schedules(name):
    assert named(parse(stage, {"schedule": name})["schedule"]) is SHIPPED[name]
    assert named(SHIPPED[name]) is SHIPPED[name]


# errors


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start_K": -1.0}, r"start_K = -1\.0 K must be greater than or equal to 0"),
        ({"end_K": float("nan")}, "end_K = nan K must be a finite number"),
        ({"duration_ps": 0.0}, r"duration_ps = 0\.0 ps must be greater than 0"),
        ({"ensemble": "NPH"}, "ensemble = 'NPH' must be 'NVT', 'NPT', 'NVE' or 'Bussi'"),
        ({"ensemble": "NVE"}, "segment 'a' ramps from 3000 to 300 K in NVE"),
        ({"pressure_GPa": 1.0}, "segment 'a' asks for 1 GPa in NVT; only NPT"),
        ({"ensemble": "NPT", "end_K": 0.0}, "segment 'a' reaches 0 K in NPT"),
        ({"ensemble": "Bussi", "end_K": 0.0}, "segment 'a' reaches 0 K in Bussi"),
        ({"ensemble": "Bussi", "pressure_GPa": 1.0}, "segment 'a' asks for 1 GPa in Bussi; only NPT"),
    ],
)
def test_impossible_segments(values, message):
    given_values = {"name": "a", "ensemble": "NVT", "start_K": 3000.0, "end_K": 300.0, "duration_ps": 1.0} | values
    with pytest.raises(ValueError, match=message):
        Segment(**given_values)
    with pytest.raises(ValueError, match=message.split(" = ")[0].split(" must")[0]):
        parse(stage, {"schedule": {"segments": [given_values]}})


def test_impossible_schedules():
    with pytest.raises(ValueError, match="the schedule has no segments"):
        QuenchSchedule(())
    with pytest.raises(ValueError, match=r"segment 'hold' lasts 0\.0004 ps, less than one step of 1 fs"):
        QuenchSchedule((hold(ps=0.0004),))
    with pytest.raises(ValueError, match=r"timestep_fs = 0\.0 fs must be greater than 0"):
        QuenchSchedule((hold(),), timestep_fs=0.0)
    with pytest.raises(ValueError, match="step 1001 lies outside the schedule of 1000 steps"):
        QuenchSchedule((hold(),)).target_K(1001)
    with pytest.raises(ValueError, match="no schedule is named 'kawaguchi'; did you mean 'kawaguchi2025'"):
        named("kawaguchi")
    with pytest.raises(ValueError, match="no schedule is named 'x'; there are kawaguchi2025"):
        named("x")


def test_errors_in_a_file_name_the_segment():
    segment = {"name": "melt", "ensemble": "NVT", "start_K": 300, "end_K": 300, "duration_ps": -1}
    with pytest.raises(ValueError, match=r"schedule\.segments\[0\]\.duration_ps = -1 .*must be greater than 0"):
        parse(stage, {"schedule": {"segments": [segment]}})
