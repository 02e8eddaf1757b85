"""Threads whose structures are evaluated together get what each would have got alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk
from toys import Ions, LennardJones, OneByOne

from amorph.calculators import Gathering, calculator_name
from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.meltquench import QuenchSchedule, Segment
from amorph.meltquench.dynamics import dynamics
from amorph.pipeline.provenance import provenance

SCHEDULE = QuenchSchedule(
    (Segment("hold", "NVT", 60.0, 60.0, 0.04), Segment("press", "NPT", 60.0, 90.0, 0.03, 0.1)), timestep_fs=2.0
)


def argon(number):
    return bulk("Ar", cubic=True, a=5.3 + 0.05 * number) * (2, 2, 2)


def served(work, calculator, batch, *, at_a_time=None, first=0):
    """Call each function of a calculator in a thread of its own, their structures evaluated together.

    The first batch holds the requests of at least `first` threads, however slowly the machine starts them.
    """
    gathering = Gathering(len(work))

    def one(function):
        with gathering.joined():
            return function(gathering.calculator(calculator, batch))

    with ThreadPoolExecutor(at_a_time or len(work)) as pool:
        threads = [pool.submit(one, function) for function in work]
        with gathering._changed:
            gathering._changed.wait_for(lambda: len(gathering._asked) >= first, timeout=60)
        gathering.serve()
    return threads


def trace(number, calculator, schedule=SCHEDULE, structure=argon):
    """Positions, momenta and thermodynamics of every step."""
    frames = dynamics(structure(number), calculator, schedule, rng=np.random.default_rng(number))
    return [(frame.atoms.positions.copy(), frame.atoms.get_momenta(), repr(frame.thermo())) for frame in frames]


def assert_bitwise(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
        assert a[2] == b[2]


def test_dynamics_in_a_batch_equals_dynamics_alone_bitwise():
    batch = OneByOne(LennardJones())
    threads = served([lambda c, k=k: trace(k, c) for k in range(3)], LennardJones(), batch, first=3)
    for number, thread in enumerate(threads):
        assert_bitwise(thread.result(), trace(number, LennardJones()))
    assert max(batch.sizes) == 3


def test_chgnet_in_a_batch_equals_chgnet_alone_bitwise():
    def oxide(number):
        atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True)
        atoms.rattle(0.1, seed=number)
        return atoms

    schedule = QuenchSchedule((Segment("hold", "NVT", 900.0, 900.0, 0.006),), timestep_fs=1.0)

    class Counted(CHGNetBatch):
        sizes: ClassVar = []

        def evaluate(self, structures, properties=("forces",)):
            self.sizes.append(len(structures))
            return super().evaluate(structures, properties)

    calculator = CHGNetCalculator(device="cpu", threads=2)
    work = [lambda c, k=k: trace(k, c, schedule, oxide) for k in range(3)]
    threads = served(work, calculator, Counted(calculator), first=3)
    assert max(Counted.sizes) == 3
    for number, thread in enumerate(threads):
        assert_bitwise(thread.result(), trace(number, calculator, schedule, oxide))


def test_more_threads_than_meet_at_a_time_are_all_served():
    threads = served(
        [lambda c, k=k: trace(k, c) for k in range(4)], LennardJones(), OneByOne(LennardJones()), at_a_time=2
    )
    assert_bitwise(threads[3].result(), trace(3, LennardJones()))


def test_a_structure_without_meaning_reaches_only_its_own_thread():
    class Fussy(LennardJones):
        def evaluate(self, atoms):
            if len(atoms) == 2:
                raise ValueError("two atoms are no solid")
            return super().evaluate(atoms)

    meeting = threading.Barrier(2, timeout=30)

    def good(calculator):
        meeting.wait()
        return trace(0, calculator)

    def bad(calculator):
        meeting.wait()
        return calculator.get_potential_energy(bulk("Ar", cubic=True)[:2])

    first, second = served([good, bad], Fussy(), OneByOne(Fussy()))
    assert_bitwise(first.result(), trace(0, LennardJones()))
    with pytest.raises(ValueError, match=r"^two atoms are no solid$"):  # as alone: no number within a batch
        second.result()


def test_a_thread_that_does_other_work_or_ends_holds_up_nobody():
    done = threading.Event()

    def busy(calculator):
        calculator.get_potential_energy(argon(1))
        assert done.wait(60)  # an analysis, say: it ends only when the other has gone all its steps
        return calculator.get_potential_energy(argon(2))

    def steady(calculator):
        steps = trace(0, calculator)
        done.set()
        return steps

    first, second, _ = served([busy, steady, lambda c: None], LennardJones(), OneByOne(LennardJones()))
    assert_bitwise(second.result(), trace(0, LennardJones()))
    assert first.result() == LennardJones().get_potential_energy(argon(2))


def test_what_is_asked_by_one_thread_is_worked_out_for_all():
    batch = OneByOne(LennardJones())
    work = [lambda c, name=name: c.get_property(name, argon(1)) for name in ("forces", "stress")]
    forces, stress = served(work, LennardJones(), batch, first=2)
    np.testing.assert_array_equal(forces.result(), LennardJones().get_forces(argon(1)))
    np.testing.assert_array_equal(stress.result(), LennardJones().get_stress(argon(1)))
    assert batch.sizes == [2]


def test_a_batch_that_is_too_large_is_told_once_and_made_smaller(caplog):
    class Small(OneByOne):
        def evaluate(self, structures, properties):
            if len(structures) > 2:
                self.sizes.append(-len(structures))
                raise RuntimeError("out of memory")
            return super().evaluate(structures, properties)

    batch = Small(LennardJones())
    threads = served([lambda c, k=k: trace(k, c) for k in range(4)], LennardJones(), batch, first=4)
    for number, thread in enumerate(threads):
        assert_bitwise(thread.result(), trace(number, LennardJones()))
    assert sum(size < 0 for size in batch.sizes) == 1
    assert max(batch.sizes) <= 2
    said = [record.message for record in caplog.records if "at once" in record.message]
    assert said == [f"{-min(batch.sizes)} structures cannot be evaluated at once (out of memory); from now on at most "
                    f"{-min(batch.sizes) // 2} are"]  # fmt: skip


def test_threads_left_without_a_server_end_with_an_error():
    class Broken(OneByOne):
        def evaluate(self, structures, properties):
            raise KeyboardInterrupt

    gathering = Gathering(2)
    calculator = LennardJones()
    broken = Broken(calculator)

    def one():
        with gathering.joined():
            mine = gathering.calculator(calculator, broken)
            for number in range(1000):
                mine.get_potential_energy(argon(number % 3))

    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(one) for _ in range(2)]
        with pytest.raises(KeyboardInterrupt):
            gathering.serve()
        for thread in threads:
            with pytest.raises(RuntimeError, match="evaluates the batches has ended"):
                thread.result(60)


def test_it_has_the_name_and_the_provenance_of_what_it_stands_for():
    calculator = CHGNetCalculator(device="cpu")
    mine = Gathering(1).calculator(calculator, CHGNetBatch(calculator))
    assert calculator_name(mine) == "CHGNet 0.3.0"
    assert provenance(mine) == provenance(calculator)
    assert calculator_name(Gathering(1).calculator(Ions(), OneByOne(Ions()))) == "Ions"
    assert mine.implemented_properties == calculator.implemented_properties
