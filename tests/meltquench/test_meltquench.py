"""Melt and quench: what is kept, what is judged, and when."""

import numpy as np
import pytest
from ase.build import bulk
from toys import LennardJones

from amorph.analysis.crystallinity import crystallinity
from amorph.meltquench import QuenchSchedule, Segment, check_sampling, judge, melt_pressures_GPa, melt_quench
from amorph.meltquench.dynamics import dynamics

HOT = QuenchSchedule(
    (
        Segment("heat", "NVT", 300.0, 2000.0, 0.4),
        Segment("melt", "NVT", 2000.0, 2000.0, 4.0),
        Segment("quench", "NVT", 2000.0, 50.0, 1.6),
    ),
    timestep_fs=4.0,
    damping_time_ps=0.2,
)
COLD = QuenchSchedule((Segment("hold", "NVT", 20.0, 20.0, 0.4),), timestep_fs=4.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def argon():
    return bulk("Ar", "fcc", a=5.4, cubic=True) * (3, 3, 3)


@pytest.fixture(scope="module")
def hot():
    return melt_quench(argon(), LennardJones(cutoff=6.0), HOT, rng=rng(), sample_every=25, anion="Ar")


# known answers


def test_a_hot_crystal_melts_and_a_fast_quench_leaves_it_disordered(hot):
    assert hot.melt.melted
    assert hot.melt.is_disordered
    assert hot.melt.mean_square_displacement["Ar"] > 5.4**2 / 2
    assert hot.glass.verdict == "amorphous"
    assert hot.glass.melted
    assert hot.glass.n_frames == 2  # the last tenth of the cooling: 40 steps


def test_a_cold_crystal_stays_one_and_has_no_melt():
    quenched = melt_quench(argon(), LennardJones(cutoff=6.0), COLD, rng=rng(), sample_every=10, anion="Ar")
    assert quenched.melt is None
    assert quenched.melt_pressure_GPa is None
    assert quenched.melt_virial_pressure_GPa is None
    assert quenched.glass.verdict == "crystalline"
    assert quenched.glass.melted is None


# what is kept


def test_frames_and_rows_are_those_of_the_sampled_steps_and_the_last(hot):
    steps = [*range(0, 1500, 25), 1500]
    assert [row.step for row in hot.thermo] == steps
    assert [atoms.info["step"] for atoms in hot.frames] == steps
    assert hot.table()[4]["target_K"] == HOT.target_K(100)
    assert "step" not in hot.atoms.info
    shift = hot.atoms.cell.scaled_positions(hot.atoms.positions - hot.frames[-1].positions)
    assert shift == pytest.approx(np.round(shift), abs=1e-9)
    assert hot.atoms.get_scaled_positions(wrap=False).min() >= 0.0
    assert np.array_equal(hot.atoms.get_momenta(), hot.frames[-1].get_momenta())
    # Trajectories are unwrapped: in the melt atoms leave the cell.
    assert hot.frames[-1].cell.scaled_positions(hot.frames[-1].positions).min() < -0.02


def test_the_last_step_is_kept_whatever_the_sampling():
    quenched = melt_quench(argon(), LennardJones(cutoff=6.0), COLD, rng=rng(), sample_every=30, anion="Ar")
    assert [row.step for row in quenched.thermo] == [0, 30, 60, 90, 100]


def test_every_step_is_shown():
    seen = []
    melt_quench(
        argon(), LennardJones(cutoff=6.0), COLD, rng=rng(), anion="Ar", on_frame=lambda frame: seen.append(frame.step)
    )
    assert seen == list(range(101))


# what is judged


def test_the_melt_is_judged_on_its_second_half(hot):
    # The melt is steps 101 to 1100: its second half 601 to 1100.
    chosen = [atoms for atoms in hot.frames if 600 < atoms.info["step"] <= 1100]
    assert len(chosen) == 20
    assert hot.melt.table() == crystallinity(chosen, anion="Ar", start=argon()).table()
    rows = [row for row in hot.thermo if 600 < row.step <= 1100]
    assert hot.melt_pressure_GPa == pytest.approx(np.mean([row.pressure_GPa for row in rows]))
    assert hot.melt_virial_pressure_GPa == pytest.approx(np.mean([row.virial_pressure_GPa for row in rows]))
    kinetic = hot.melt_pressure_GPa - hot.melt_virial_pressure_GPa
    # N kT/V of 107 free atoms at 2000 K; 20 frames of relative spread sqrt(2/321) scatter by 2 %.
    assert kinetic == pytest.approx(107 * 2000.0 * 1.380649e-23 / (argon().get_volume() * 1e-30) * 1e-9, rel=0.07)


def test_a_run_stopped_and_continued_is_judged_alike(hot):
    frames, steps, state = [], [], None
    for stop in (437, 900, 1500):
        for frame in dynamics(argon(), LennardJones(cutoff=6.0), HOT, rng=rng(), state=state):
            if frame.step % 25 == 0 and frame.step not in steps:
                frames.append(frame.snapshot())
                steps.append(frame.step)
            if frame.step == stop:
                state = frame.state()
                break
    judgement = judge(frames, steps, HOT, start=argon(), anion="Ar")
    assert judgement.melt.table() == hot.melt.table()
    assert judgement.glass.table() == hot.glass.table()
    assert frames[-1].positions.tobytes() == hot.frames[-1].positions.tobytes()
    assert melt_pressures_GPa(hot.thermo, HOT) == (hot.melt_pressure_GPa, hot.melt_virial_pressure_GPa)


def test_a_melt_of_an_earlier_stage_counts():
    frames = [argon() for _ in range(3)]
    assert judge(frames, [0, 50, 100], COLD, start=argon(), anion="Ar", melted=True).glass.melted is True
    assert judge(frames, [0, 50, 100], COLD, start=argon(), anion="Ar").glass.melted is None


@pytest.mark.parametrize(("every", "count"), [(5, 9), (4, 10), (25, 2), (100, 1)])
def test_a_crystal_that_grew_in_the_cooling_is_not_diluted_by_melt(hot, every, count):
    liquid = hot.frames[40]
    steps = list(range(0, 1501, every))
    # 195 K above the end and less: from step 1460 on
    frames = [argon() if step >= 1460 else liquid for step in steps]
    judgement = judge(frames, steps, HOT, start=argon(), anion="Ar")
    assert judgement.glass.n_frames == count
    assert judgement.glass.solid_share == 1.0


def test_a_melt_without_a_hold_is_measured():
    # 12 K a step up and down: 2160 K or more from step 179 on, 2160 K again at step 239
    spike = QuenchSchedule(
        (Segment("heat", "NVT", 20.0, 2400.0, 0.8), Segment("quench", "NVT", 2400.0, 20.0, 0.8)), timestep_fs=4.0
    )
    start = argon()
    for far, melted in ((0.0, False), (5.4, True)):
        frames = [start.copy() for _ in range(401)]
        for frame in frames[190:]:
            frame.positions[::2] += [far, 0.0, 0.0]
            frame.positions[1::2] -= [far, 0.0, 0.0]
        judgement = judge(frames, range(401), spike, start=start, anion="Ar")
        assert judgement.melt.melted is melted
        assert judgement.glass.melted is melted
    assert judgement.melt.n_frames == sum(199 < step <= 220 for step in range(401))


def test_a_glass_annealed_far_below_its_melting_has_molten_all_the_same():
    anneal = QuenchSchedule(
        (Segment("hold", "NVT", 80.0, 80.0, 0.2), Segment("cool", "NVT", 80.0, 20.0, 0.2)), timestep_fs=4.0
    )
    steps = range(0, 101, 10)
    frames = [argon() for _ in steps]
    for before, after in ((True, True), (False, False), (None, False)):
        judgement = judge(frames, steps, anneal, start=argon(), anion="Ar", melted=before)
        assert judgement.melt.melted is False
        assert judgement.glass.melted is after


# invariance


def test_the_same_seed_gives_the_same_bytes(hot):
    again = melt_quench(argon(), LennardJones(cutoff=6.0), HOT, rng=rng(), sample_every=25, anion="Ar")
    assert again.atoms.positions.tobytes() == hot.atoms.positions.tobytes()
    assert again.thermo == hot.thermo


# errors


def test_too_few_frames_for_a_judgement():
    # The second half of the melt has 500 steps.
    check_sampling(HOT, 50)
    with pytest.raises(
        ValueError, match=r"sample_every = 60 leaves 8 frames in the second half of the melt; .* at most 50"
    ):
        melt_quench(argon(), LennardJones(), HOT, rng=rng(), sample_every=60)
    brief = QuenchSchedule((Segment("m", "NVT", 900.0, 900.0, 0.01), Segment("q", "NVT", 900.0, 9.0, 0.01)))
    with pytest.raises(ValueError, match=r"sample_every = 1 leaves 5 frames .* lengthen the melt"):
        check_sampling(brief, 1)


def test_what_cannot_be_judged_is_refused_before_the_run():
    calculator = LennardJones()
    with pytest.raises(ValueError, match="no O in the cell, which has Ar"):
        melt_quench(argon(), calculator, COLD, rng=rng(), anion="O")
    assert calculator.evaluations == 0


def test_impossible_numbers():
    with pytest.raises(ValueError, match="sample_every = 0 must be greater than 0"):
        melt_quench(argon(), LennardJones(), COLD, rng=rng(), sample_every=0)
    with pytest.raises(ValueError, match="no schedule is named 'slow'"):
        melt_quench(argon(), LennardJones(), "slow", rng=rng())
