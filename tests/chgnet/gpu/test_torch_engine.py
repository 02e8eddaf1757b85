"""The torch engine on the CPU: stock CHGNet in float64, padding, batches, guards; on a GPU where there is one."""

import logging

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.units import GPa
from float64_stock import LARGE, SMALL, float64_stock, melt, rocksalt, skewed, slab, two_atoms, unwrapped
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.gpu import layers as torch_layers, lists as torch_list, memory as torch_memory
from amorph.chgnet.gpu.capture import Compiled
from amorph.chgnet.gpu.engine import TorchEngine
from amorph.chgnet.gpu.graph import Sizes, build
from amorph.chgnet.gpu.lists import make_pairs
from amorph.chgnet.gpu.replicas import bucket, room_for
from amorph.chgnet.weights import load_checkpoint
from amorph.structure import pair_list

EVERYTHING = {"energy", "forces", "stress", "magmoms"}
pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def engine():
    return TorchEngine(load_checkpoint("0.3.0"), "cpu")


def replicas_of(engine):
    """Return the only batch that an engine has seen, its inputs, and the sizes of their graph."""
    (replicas,) = engine._replicas.values()
    inputs = replicas._inputs
    return replicas, inputs, Sizes(*map(int, engine._counts(inputs)[:3]))


def assert_same_bits(result, reference):
    for name, value in reference.items():
        assert np.array_equal(result[name], value), name


@pytest.mark.parametrize("make", [skewed, two_atoms, unwrapped, slab, lambda: rocksalt(2, 0.2)])
def test_lists_the_pairs_of_the_pair_list_in_its_order(make, monkeypatch):
    atoms = make()
    monkeypatch.setattr("amorph.chgnet.gpu.lists.CANDIDATES", 2000)  # several chunks
    pairs = make_pairs(torch.from_numpy(atoms.positions), atoms.cell.array, 7.0)
    reference = pair_list(atoms, 7.0)
    assert np.array_equal(pairs.i, reference.i)
    assert np.array_equal(pairs.j, reference.j)
    assert np.array_equal(pairs.shift, reference.S)
    assert np.array_equal(pairs.i[pairs.reverse], pairs.j)
    assert np.array_equal(pairs.shift[pairs.reverse], -pairs.shift)


def test_angles_are_the_ordered_pairs_of_short_edges_of_one_center(engine):
    twin = engine.twin()
    atoms = skewed()
    twin.evaluate(atoms, {"energy"})
    _, inputs, sizes = replicas_of(twin)
    graph = build(inputs.cut(6.0, 3.0), sizes)
    center = graph.short_center.target
    first, second = graph.first.target, graph.second.target
    pairs = pair_list(atoms, 3.0)
    assert np.array_equal(center, pairs.i[pairs.d < 3.0])
    expected = [(f, s) for f in range(len(center)) for s in range(len(center)) if f != s and center[f] == center[s]]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert np.array_equal(second[graph.second.order], first)


@pytest.mark.parametrize(
    ("model", "make"),
    [
        *(pytest.param("0.3.0", make, id=f"0.3.0 {name}") for name, make in SMALL.items()),
        *(pytest.param("r2scan", SMALL[n], id=f"r2scan {n}") for n in ("eight atoms", "slab", "skewed cell")),
        *(
            pytest.param(model, make, id=f"{model} large {name}", marks=pytest.mark.slow)
            for model in ("0.3.0", "r2scan")
            for name, make in LARGE.items()
        ),
    ],
)
def test_equals_float64_stock(model, make, monkeypatch):
    atoms, checkpoint = make(), load_checkpoint(model)
    with monkeypatch.context() as patch:
        reference = float64_stock(checkpoint, patch).evaluate(atoms, EVERYTHING)
    # The package rounds the fractions of the composition to float32, in its energy alone.
    exact = TorchEngine(checkpoint, "cpu", dtype=torch.float64).evaluate(atoms, EVERYTHING)
    assert exact["energy"] == pytest.approx(reference["energy"], abs=1e-6 * len(atoms))
    for name in ("forces", "stress", "magmoms"):
        np.testing.assert_allclose(exact[name], reference[name], rtol=0, atol=1e-9)
    result = TorchEngine(checkpoint, "cpu").evaluate(atoms, EVERYTHING)
    error = {name: np.abs(result[name] - reference[name]) for name in EVERYTHING}
    assert error["energy"] < 2e-6 * len(atoms)
    assert error["forces"].max() < 1e-4
    assert np.sqrt((error["forces"] ** 2).mean()) < 1e-5
    assert error["stress"].max() < 1e-4 * GPa
    assert error["magmoms"].max() < 1e-4


def test_room_to_spare_changes_no_result(engine):
    structures = [rocksalt(1, 0.1), two_atoms(), slab()]
    exact = engine.twin().evaluate_many(structures, EVERYTHING)
    padded = engine.twin()
    padded._padded = True
    for result, reference in zip(padded.evaluate_many(structures, EVERYTHING), exact, strict=True):
        # Another number of rows may change how a matrix product is cut.
        for name, value in reference.items():
            np.testing.assert_allclose(result[name], value, rtol=1e-7, atol=2e-6)


def test_room_follows_the_sizes_up_and_down_and_each_step_is_evaluated_once(engine):
    padded = engine.twin()
    padded._padded = True
    asked, tried = [], padded._tried
    padded._tried = lambda replicas, inputs, room: asked.append(room) or tried(replicas, inputs, room)
    wide, narrow = melt(24), melt(24)
    narrow.set_cell(narrow.cell.array * 0.95, scale_atoms=True)
    first = padded.evaluate(wide, EVERYTHING)
    padded.evaluate(narrow, EVERYTHING)
    assert_same_bits(padded.evaluate(wide, EVERYTHING), first)
    assert len(asked) == 3
    assert asked[1].angles > asked[0].angles
    assert asked[2] == asked[0]


class Unasked(TorchDispatchMode):
    """Refuses what makes the host wait for a number or a shape from the device, which no capture allows."""

    ASKING = (
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "unique",
        "equal.default",
        "repeat_interleave.Tensor",
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not any(name in str(func) for name in self.ASKING), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("recompute", [False, True])
def test_evaluation_asks_the_device_for_nothing(engine, recompute):
    padded = engine.twin()
    padded._padded = True
    padded.evaluate(rocksalt(1, 0.1), EVERYTHING)
    _, inputs, sizes = replicas_of(padded)
    with Unasked():
        padded._counts(inputs)
        padded._values(inputs, room_for(sizes, padded=True), recompute)
    with pytest.raises(AssertionError, match="_local_scalar_dense"), Unasked():
        torch.zeros(3)[torch.zeros(3).argmin()]


def test_buckets_leave_little_room_unused():
    counts = np.arange(1, 100_000, 17)
    rooms = np.array([bucket(int(count)) for count in counts])
    assert (rooms >= counts).all()
    assert (rooms <= np.maximum(counts * 1.126, counts + 64)).all()
    assert all(bucket(int(room)) == room for room in rooms)


def test_forces_do_not_depend_on_the_age_of_the_list(engine):
    old = engine.twin()
    rng = np.random.default_rng(11)
    atoms = melt(24)
    start = atoms.positions.copy()
    old.evaluate(atoms, {"forces"})
    for _ in range(2):
        atoms.positions = start + rng.uniform(-0.25, 0.25, start.shape)
        assert_same_bits(old.evaluate(atoms, EVERYTHING), engine.twin().evaluate(atoms, EVERYTHING))
    assert old.rebuilds == 1
    atoms.positions[0] += [1.2, 0, 0]
    assert_same_bits(old.evaluate(atoms, EVERYTHING), engine.twin().evaluate(atoms, EVERYTHING))
    assert old.rebuilds == 2


@pytest.mark.parametrize("moved", [0.0, 1.5])  # of the first list, and of one that takes its place
def test_a_list_that_was_not_finished_does_not_count(engine, monkeypatch, moved):
    twin, atoms = engine.twin(), melt(24)
    if moved:
        twin.evaluate(atoms, {"forces"})
        atoms.positions[0, 0] += moved
    with monkeypatch.context() as patch:
        patch.setattr(torch_list, "make_pairs", raising(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            twin.evaluate(atoms, {"forces"})
        patch.setattr(torch_list, "make_pairs", raising(torch.OutOfMemoryError))
        with pytest.raises(ValueError, match=r"^the pairs of 24 atoms do not fit in the memory of cpu; use"):
            twin.evaluate(atoms, {"forces"})
    assert_same_bits(twin.evaluate(atoms, EVERYTHING), engine.twin().evaluate(atoms, EVERYTHING))


def raising(error):
    def function(*_):
        raise error

    return function


def test_recomputing_layers_gives_the_same_forces_and_stores_less(engine, monkeypatch):
    atoms = rocksalt(2, 0.1)
    stored, recomputing = engine.twin(), engine.twin()
    reference, most = stored_bytes(stored, atoms)
    replicas, inputs, sizes = replicas_of(stored)
    need = torch_memory.needed_bytes(64, len(inputs.pairs.i), sizes, itemsize=4, recompute=False)
    # The estimate covers what autograd keeps and what one layer works with, and not much more.
    assert 0.6 * need < most < need
    monkeypatch.setattr(torch_memory, "free_bytes", lambda device: need - 1)
    result, least = stored_bytes(recomputing, atoms)
    assert not replicas.recompute
    assert replicas_of(recomputing)[0].recompute
    assert least < 0.15 * most
    assert_same_bits(result, reference)


def stored_bytes(engine, atoms):
    """Evaluate, and count the bytes that are kept for the way back."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = engine.evaluate(atoms, EVERYTHING)
    return result, sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_refuses_what_does_not_fit_on_the_device(engine, monkeypatch):
    monkeypatch.setattr(torch_memory, "free_bytes", lambda device: 1_000_000)
    with pytest.raises(ValueError, match=r"2 atoms with \d+ angles need about 0\.0 GB on cpu .* 0\.0 GB are free"):
        engine.twin().evaluate(two_atoms(), {"energy"})


def test_a_batch_equals_one_by_one_within_rounding():
    structures = [rocksalt(1, 0.1, seed=1), two_atoms(), melt(24), skewed()]
    calculator = CHGNetCalculator(device="cpu", engine="torch")
    batch = CHGNetBatch(calculator)
    rng = np.random.default_rng(0)
    for _ in range(2):
        results = batch.evaluate(structures, ("forces", "stress", "magmoms"))
        for atoms, result in zip(structures, results, strict=True):
            alone = calculator.model.evaluate(atoms, EVERYTHING)
            assert result["energy"] == pytest.approx(alone["energy"], abs=1e-6 * len(atoms))
            np.testing.assert_allclose(result["forces"], alone["forces"], atol=2e-5)
            np.testing.assert_allclose(result["stress"], alone["stress"], atol=1e-6)
            np.testing.assert_allclose(result["magmoms"], alone["magmoms"], atol=1e-5)
        for atoms in structures:
            atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    # Replicas that stay within their skin keep their lists.
    assert batch._models[0].rebuilds < 2 * len(structures)


def test_refuses_close_and_isolated_atoms_by_name():
    calculator = CHGNetCalculator(device="cpu", engine="torch")
    close, far = two_atoms(), two_atoms()
    close.positions[1] = close.positions[0] + [0.3, 0, 0]
    far.set_cell(far.cell.array * 10, scale_atoms=True)
    with pytest.raises(ValueError, match=r"^atom 0 \(Mg\) and atom 1 \(O\) are 0\.300 Å apart"):
        calculator.get_potential_energy(close)
    with pytest.raises(ValueError, match=r"^atoms 0 \(Mg\), 1 \(O\) have no neighbor within 6 Å"):
        calculator.get_potential_energy(far)
    for bad in (close, far):
        with pytest.raises(ValueError, match=r"structure 1: atoms? 0 \(Mg\)"):
            CHGNetBatch(calculator).evaluate([two_atoms(), bad])
    with pytest.raises(ValueError, match=r"^structure 0: atoms 0 \(Mg\), 1 \(O\) have no neighbor"):
        calculator.model.evaluate_many([far, two_atoms(), close], {"energy"})
    assert calculator.model.evaluate_many([], {"energy"}) == []


def test_names_close_atoms_before_it_asks_for_memory(engine, monkeypatch):
    monkeypatch.setattr(torch_memory, "free_bytes", lambda device: 1_000)
    with pytest.raises(ValueError, match=r"^atom 0 \(Mg\) and atom 1 \(O\) are 0\.400 Å apart"):
        engine.twin().evaluate(bulk("MgO", "rocksalt", a=0.8), {"energy"})


def test_engine_is_chosen_and_refused_by_name():
    assert CHGNetCalculator(device="cpu").engine == "numba"
    assert CHGNetCalculator(device="cpu", engine="torch").parameters["engine"] == "torch"
    assert CHGNetCalculator(device="cpu", engine="chgnet").engine == "chgnet"
    with pytest.raises(ValueError, match="engine 'C' is unknown; choose auto, numba, torch, chgnet"):
        CHGNetCalculator(device="cpu", engine="C")
    with pytest.raises(ValueError, match=r"0\.2\.0 does not run on engine 'torch': gMLP_norm"):
        CHGNetCalculator("0.2.0", device="cpu", engine="torch")


def test_float64_takes_over_where_float32_is_not_enough(caplog):
    fresh, exact = (TorchEngine(load_checkpoint("0.3.0"), "cpu", dtype=d) for d in (torch.float32, torch.float64))
    structures = [two_atoms(), rocksalt(1, 0.1, seed=4), rocksalt(1, 0.35, seed=1)]
    with caplog.at_level(logging.INFO, logger="amorph.chgnet.precision"):
        results = fresh.evaluate_many(structures, {"energy"})
        again = fresh.twin().evaluate_many(structures, {"energy"})
    for atoms, result, second, beyond in zip(structures, results, again, (True, False, True), strict=True):
        error = np.abs(result["forces"] - exact.evaluate(atoms, {"energy"})["forces"]).max()
        assert error < 1e-4
        assert (error < 1e-10) == beyond
        assert_same_bits(second, result)
    assert [record.message for record in caplog.records] == [
        "the cell has 2 atoms: such structures go in float64, which takes several times as long"
    ]


@pytest.mark.parametrize("engine", ["torch", "chgnet"])
def test_multiplies_in_full_float32_whatever_the_process_was_told(engine, monkeypatch):
    """TF32 and bfloat16 cost three digits; on processors that have neither, the setting is all that can be seen."""
    atoms, model = rocksalt(1, 0.1, seed=4), CHGNetCalculator(device="cpu", engine=engine).model
    reference = model.evaluate(atoms, EVERYTHING)
    seen, multiply = [], torch.autograd.grad

    def watched(*arguments, **options):
        seen.append(precision())
        return multiply(*arguments, **options)

    def precision():
        products = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
        return torch.get_float32_matmul_precision(), *(product.fp32_precision for product in products)

    monkeypatch.setattr(torch.autograd, "grad", watched)
    before = precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert_same_bits(model.evaluate(atoms, EVERYTHING), reference)
        assert precision() == ("medium", "tf32", "bf16")
        # Told by both of torch's interfaces, of which the older now refuses to answer.
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        model.evaluate(atoms, EVERYTHING)
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.set_float32_matmul_precision(before[0])
        for product, old in zip((torch.backends.cuda.matmul, torch.backends.mkldnn.matmul), before[1:], strict=True):
            product.fp32_precision = old
    assert set(seen) == {("highest", "ieee", "ieee")}


@pytest.mark.slow
def test_compiles_once_for_all_sizes(engine):
    """The compiler's tracer takes the whole network, forward and back, and no size for a constant, 64 included."""
    traced = engine.twin()
    traced._padded = True
    traced._improve = lambda *inputs: None  # float64 is compiled by itself
    counter = CompileCounterWithBackend("aot_eager")
    traced._network = Compiled(torch_layers.network, torch.device("cpu"))
    traced._network._compiled = torch.compile(torch_layers.network, dynamic=True, fullgraph=True, backend=counter)
    frames = []
    for atoms in (rocksalt(1, 0.1), melt(16), slab(), rocksalt(2, 0.1)):
        result, reference = traced.evaluate(atoms, EVERYTHING), engine.evaluate(atoms, EVERYTHING)
        np.testing.assert_allclose(result["forces"], reference["forces"], atol=2e-4)
        frames.append(counter.frame_count)
    assert traced.compiled
    assert frames == frames[:1] * 4


@pytest.mark.gpu
@pytest.mark.parametrize("make", [*SMALL.values(), *LARGE.values()])
def test_gpu_equals_the_cpu_in_float64_and_itself_to_the_last_bit(make):
    checkpoint, atoms = load_checkpoint("0.3.0"), make()
    reference = TorchEngine(checkpoint, "cpu", dtype=torch.float64).evaluate(atoms, EVERYTHING)
    gpu = TorchEngine(checkpoint, "cuda")
    result = gpu.evaluate(atoms, EVERYTHING)
    error = np.abs(result["forces"] - reference["forces"])
    assert error.max() < 1e-4
    assert np.sqrt((error**2).mean()) < 1e-5
    np.testing.assert_allclose(result["stress"], reference["stress"], atol=1e-4 * GPa)
    np.testing.assert_allclose(result["magmoms"], reference["magmoms"], atol=1e-4)
    for _ in range(3):  # the second evaluation of a room is captured, the third replayed
        assert_same_bits(gpu.evaluate(atoms, EVERYTHING), result)
    assert gpu.captured
    assert gpu.compiled
