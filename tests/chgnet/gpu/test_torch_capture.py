"""How evaluations are captured, with a stand-in for torch.cuda that records what a GPU would be told.

A captured graph of the stand-in runs the evaluation again when it is replayed. No real GPU has run any of this.
"""

import contextlib
import gc
import itertools
import logging
import re
import weakref

import numpy as np
import pytest
import torch
from float64_stock import melt, rocksalt

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.gpu import engine as torch_engine, memory as torch_memory
from amorph.chgnet.gpu.capture import Captures, Compiled
from amorph.chgnet.gpu.engine import TorchEngine
from amorph.chgnet.gpu.graph import Sizes
from amorph.chgnet.weights import load_checkpoint

FORCES = {"forces"}
pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Gpu:
    """What was asked of the device."""

    def __init__(self, monkeypatch):
        self.streams, self.evaluations, self.captures, self.replays = 0, 0, 0, 0
        self.capturing, self.refuses, self.exhausts = False, False, lambda: False
        self.current = ["default"]
        gpu = self

        class Stream:
            def __init__(self):
                gpu.streams += 1

            def wait_stream(self, other):
                assert other is gpu.current[-1]

        class Graph:
            def pool(self):
                return "pool"

            def replay(self):
                gpu.replays += 1
                self.output.copy_(self.evaluation())

        @contextlib.contextmanager
        def stream(new):
            gpu.current.append(new)
            yield
            gpu.current.pop()

        @contextlib.contextmanager
        def graph(graph, pool, stream, capture_error_mode):
            assert stream is gpu.current[-1]  # that of the first evaluation: what it set up is there
            assert capture_error_mode == "thread_local"
            gpu.captures += 1
            gpu.capturing = True
            try:
                try:
                    if gpu.exhausts():
                        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nand more")
                    yield
                except torch.OutOfMemoryError:
                    # The end of a capture finds it broken, and its error takes the place of the first one.
                    gpu.current.append("left behind")
                    raise RuntimeError("CUDA error: operation failed due to a previous error during capture")  # noqa: B904
                if gpu.refuses:
                    gpu.current.append("left behind")  # as torch does where the end of a capture fails
                    raise RuntimeError("operation not permitted when stream is capturing\nand more")
            finally:
                gpu.capturing = False

        for name, stand_in in {
            "Stream": Stream,
            "CUDAGraph": Graph,
            "graph": graph,
            "stream": self.restoring(stream),
            "current_stream": lambda: gpu.current[-1],
            "device": lambda device: contextlib.nullcontext(),
            "empty_cache": lambda: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        capture = Captures._capture

        def recorded(captures, evaluation):
            graph, output = capture(captures, evaluation)
            function = evaluation.func
            # As a real graph it reads addresses, and holds nothing that lies there.
            inputs = weakref.ref(evaluation.args[0])
            graph.evaluation = lambda: function(inputs(), *rest)
            graph.output, rest = output, evaluation.args[1:]
            return graph, output

        monkeypatch.setattr(Captures, "_capture", recorded)

    def restoring(self, stream):
        """Leave the stream that was current before, as torch does, whatever became current since."""

        @contextlib.contextmanager
        def restored(new):
            before = list(self.current)
            try:
                with stream(new):
                    yield
            finally:
                self.current[:] = before

        return restored

    def engine(self, engine):
        """Let an engine believe that it is on this GPU, and count what it evaluates."""
        twin = engine.twin()
        twin._padded, twin._captures = True, Captures(torch.device("cuda"))
        values = twin._values

        def counted(*inputs):
            self.evaluations += 1
            return values(*inputs)

        twin._values = counted
        return twin


@pytest.fixture(scope="module")
def cpu():
    return TorchEngine(load_checkpoint("0.3.0"), "cpu")


@pytest.fixture
def gpu(monkeypatch):
    return Gpu(monkeypatch)


def graphs_of(engine):
    return [captured for kinds in engine._captures._graphs.values() for captured in kinds.values() if captured]


def test_captures_a_room_at_its_second_use_and_replays_it_then(cpu, gpu):
    engine, atoms = gpu.engine(cpu), rocksalt(1, 0.1)
    found = []
    for _ in range(4):
        found.append(engine.evaluate(atoms, FORCES)["forces"])
        assert np.array_equal(found[-1], found[0])
    # Counting and evaluating are two graphs; replayed when captured, and twice since.
    assert (gpu.captures, gpu.replays) == (2, 6)
    assert (gpu.streams, gpu.current) == (1, ["default"])
    assert engine.captured


def test_a_room_seen_once_is_not_captured(cpu, gpu):
    engine, atoms = gpu.engine(cpu), rocksalt(1, 0.1)
    for scale in (1.0, 0.93, 1.1):
        wide = atoms.copy()
        wide.set_cell(atoms.cell.array * scale, scale_atoms=True)
        engine.evaluate(wide, FORCES)
    # Of the same inputs, unless a list was too long for its room.
    assert gpu.evaluations == 3
    assert all(kind == "counts" for kinds in engine._captures._graphs.values() for kind in kinds if kinds[kind])


def test_a_capture_that_fails_is_told_and_tried_once(cpu, gpu, caplog):
    gpu.refuses = True
    engine, atoms = gpu.engine(cpu), rocksalt(1, 0.1)
    other = atoms.copy()
    other.numbers[0] = 12
    for structure in (atoms, atoms, other, other, atoms):
        result = engine.evaluate(structure, FORCES)["forces"]
        assert np.abs(result - cpu.twin().evaluate(structure, FORCES)["forces"]).max() < 2e-6
    twin = engine.twin()
    for _ in range(2):
        twin.evaluate(atoms, FORCES)
    assert [record.message for record in caplog.records] == [
        "CHGNet runs on cuda without a CUDA graph, with a launch for each operation: "
        "RuntimeError: operation not permitted when stream is capturing"
    ]
    assert gpu.captures == 1
    assert gpu.current == ["default"]
    assert not engine.captured
    assert not twin.captured


def test_a_capture_that_exhausts_memory_goes_without_and_the_others_go_on(cpu, gpu, caplog):
    engine, atoms = gpu.engine(cpu), rocksalt(1, 0.1)
    other = atoms.copy()
    other.numbers[0] = 12
    engine.evaluate(atoms, FORCES)
    counts = iter([False, True])  # the first graph, of the counts, has room, the second has not
    gpu.exhausts = lambda: next(counts, False)
    first = engine.evaluate(atoms, FORCES)["forces"]
    assert not graphs_of(engine)  # they gave way
    for _ in range(3):
        assert np.array_equal(engine.evaluate(atoms, FORCES)["forces"], first)
    assert len(graphs_of(engine)) == 1  # the counts again
    for _ in range(2):
        engine.evaluate(other, FORCES)
    assert len(graphs_of(engine)) == 3
    assert engine.captured
    assert not caplog.records
    assert gpu.current == ["default"]


def test_sizes_that_flip_between_rooms_are_captured_once(cpu, gpu, monkeypatch):
    engine, atoms, flips = gpu.engine(cpu), rocksalt(1, 0.1), list(itertools.product((0, 64), repeat=3))
    rooms, room_for = itertools.cycle(flips), torch_engine.room_for

    def flipping(sizes, *, padded):
        return Sizes(*np.add(room_for(sizes, padded=padded), next(rooms)).tolist())

    monkeypatch.setattr(torch_engine, "room_for", flipping)
    for _ in range(2 * len(flips) + 2):
        engine.evaluate(atoms, FORCES)
    assert gpu.captures == len(flips) + 1


def test_a_member_that_is_away_for_a_step_costs_no_graph_and_no_list(cpu, gpu):
    engine, rng = gpu.engine(cpu), np.random.default_rng(0)
    members = [rocksalt(1, 0.1, seed=seed) for seed in range(3)]

    def step(present):
        for atoms in members:
            atoms.positions += rng.normal(scale=0.002, size=atoms.positions.shape)
        engine.evaluate_many(present, FORCES)

    for _ in range(3):
        step(members)
    captures, evaluations, rebuilds = gpu.captures, gpu.evaluations, engine.rebuilds
    step(members[:2])
    step(members)
    step(members)
    assert gpu.captures == captures
    assert gpu.evaluations == evaluations + 3
    assert engine.rebuilds == rebuilds + 2  # those of the smaller batch, made once


def test_graphs_go_with_the_inputs_that_they_read(cpu, gpu):
    engine = gpu.engine(cpu)
    engine._improve = lambda *inputs: None  # what goes in float64 has inputs of its own
    for element in (3, 12, 22, 25, 42):
        atoms = rocksalt(1, 0.1)
        atoms.numbers[0] = element
        for _ in range(2):
            engine.evaluate(atoms, FORCES)
    gc.collect()
    assert len(engine._replicas) == 4
    assert len(graphs_of(engine)) == 8


def exhausted(engine, fits):
    """Let the network run out of memory unless `fits` the number of atoms and whether layers are computed twice."""
    values = engine._values

    def limited(inputs, room, recompute):
        if not fits(len(inputs.species), recompute):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nOf the allocated memory …")
        return values(inputs, room, recompute)

    engine._values = limited


def test_exhausted_memory_is_tried_again_with_less_kept(cpu, gpu):
    engine, atoms = gpu.engine(cpu), rocksalt(1, 0.1)
    for _ in range(2):
        engine.evaluate(atoms, FORCES)
    assert graphs_of(engine)
    exhausted(engine, lambda atoms, recompute: recompute and not graphs_of(engine))
    larger = melt(16)
    result = engine.evaluate(larger, FORCES)["forces"]
    assert np.abs(result - cpu.twin().evaluate(larger, FORCES)["forces"]).max() < 5e-6


def test_memory_that_came_free_is_used_again(cpu, gpu, monkeypatch):
    monkeypatch.setattr(torch_engine, "PATIENCE", 3)
    engine, atoms = gpu.engine(cpu), rocksalt(1, 0.1)
    short, seen, values = [True], [], engine._values

    def limited(inputs, room, recompute):
        if short[0] and not recompute:
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.append(recompute)
        return values(inputs, room, recompute)

    engine._values = limited
    engine.evaluate(atoms, FORCES)
    short[0] = False
    for _ in range(3):
        engine.evaluate(atoms, FORCES)
    assert seen[0]
    assert not seen[-1]


def test_idle_memory_of_torch_counts_as_free_unless_graphs_hold_it(monkeypatch):
    segments = [
        {"device": 0, "segment_pool_id": (0, 0), "total_size": 100, "active_size": 30},
        {"device": 0, "segment_pool_id": (0, 1), "total_size": 1000, "active_size": 0},
        {"device": 1, "segment_pool_id": (0, 0), "total_size": 10000, "active_size": 0},
    ]
    monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda: segments)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 0))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert torch_memory.free_bytes(torch.device("cuda")) == 75
    assert torch_memory.free_bytes(torch.device("cuda:1")) == 10005


def test_graphs_are_dropped_before_a_structure_is_refused(monkeypatch):
    """What torch has reserved counts as taken until it is given back: graphs may hold it, where nothing else can go."""
    device, sizes, released = torch.device("cuda:0"), Sizes(100, 900, 4000), []
    monkeypatch.setattr(torch.cuda, "memory_snapshot", list)
    stored, twice = (torch_memory.needed_bytes(50, 9000, sizes, itemsize=4, recompute=r) for r in (False, True))

    def choose(free, freed):
        released.clear()
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (freed if released else free, 0))
        return torch_memory.choose_recompute(device, 50, 9000, sizes, itemsize=4, release=lambda: released.append(1))

    assert (choose(stored, stored), released) == (False, [])
    assert (choose(0, stored), released) == (False, [1])
    assert (choose(0, stored - 1), released) == (True, [1])
    with pytest.raises(ValueError, match=r"^50 atoms with 4000 angles need about 0\.0 GB on cuda"):
        choose(0, twice - 1)


def test_a_batch_too_large_for_its_memory_gives_way_to_one_by_one(cpu, gpu):
    calculator = CHGNetCalculator(device="cpu", engine="torch")
    engine = calculator._model = gpu.engine(cpu)
    exhausted(engine, lambda atoms, recompute: atoms < 16)
    structures = [rocksalt(1, 0.1), rocksalt(1, 0.2)]
    batch = CHGNetBatch(calculator)
    for _ in range(2):
        batch.evaluate(structures[:1])
    with pytest.raises(ValueError, match=r"^16 atoms with \d+ angles need about .* GB are free; use .*$") as refusal:
        batch.evaluate(structures)
    # Neither graphs nor the error hold memory that the structures need one by one.
    assert not graphs_of(engine)
    assert refusal.value.__context__ is None
    calculator.get_property("forces", structures[0])


def test_says_once_where_a_network_does_not_compile(caplog):
    def broken(*inputs):
        raise RuntimeError("no compiler\nand more")

    network = Compiled(lambda x: 2 * x, torch.device("cpu"))
    network._compiled = broken
    assert [network(1), network(2)] == [2, 4]
    assert [record.message for record in caplog.records] == [
        "CHGNet runs on cpu without torch.compile: RuntimeError: no compiler"
    ]


def test_only_float32_is_compiled_and_every_call_has_the_settings(monkeypatch):
    made = []
    monkeypatch.setattr(torch, "compile", lambda function, **settings: made.append(settings) or function)
    assert not Compiled(abs, torch.device("cuda"), wanted=False).compiled
    assert not made
    network = Compiled(lambda x: torch.fx.experimental._config.use_duck_shape, torch.device("cuda"))
    assert network.compiled
    assert len(made) == 1
    assert [network(1), network(2)] == [False, False]  # the second would be a recompilation


def test_says_once_how_long_the_network_took_to_compile(caplog):
    caplog.set_level(logging.INFO)
    network = Compiled(lambda x: 2 * x, torch.device("cpu"))
    assert network(1) == 2
    assert not caplog.records
    network._compiled = network._function
    assert [network(1), network(2)] == [2, 4]
    (record,) = caplog.records
    assert re.fullmatch(r"compiled CHGNet for cpu in \d+ s", record.message)
