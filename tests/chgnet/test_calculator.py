"""The calculator against stock CHGNet, its own finite differences, and its guards."""

import contextlib
import copy
import gc
import io
import multiprocessing
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.units import GPa

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.calculator import choose_device
from amorph.chgnet.cpu.network import Network
from amorph.chgnet.weights import load_checkpoint


def rattled(repeat: int = 1, seed: int = 1, amplitude: float = 0.1) -> Atoms:
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (repeat, 1, 1)
    atoms.symbols[0] = "Ti"
    atoms.rattle(amplitude, seed=seed)
    atoms.set_cell(atoms.cell.array @ [[1.0, 0.06, 0.0], [0.0, 1.02, -0.03], [0.0, 0.0, 1.0]], True)
    return atoms


@pytest.mark.parametrize("model", ["0.3.0", "r2scan", pytest.param("0.2.0", marks=pytest.mark.slow)])
def test_equals_the_chgnet_package(model):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chgnet.model import CHGNet
        from pymatgen.io.ase import AseAtomsAdaptor

        stock = CHGNet.load(model_name=model, verbose=False, use_device="cpu")
        atoms = rattled()
        reference = stock.predict_structure(AseAtomsAdaptor.get_structure(atoms))
    atoms.calc = CHGNetCalculator(model, device="cpu")
    stress = atoms.get_stress(voigt=False)
    # Stock in float32 is itself up to 7e-4 eV/Å away from stock in float64.
    assert atoms.get_potential_energy() / len(atoms) == pytest.approx(float(reference["e"]), abs=5e-6)
    np.testing.assert_allclose(atoms.get_forces(), reference["f"], atol=5e-4)
    np.testing.assert_allclose(stress / GPa, reference["s"], atol=2e-3)
    np.testing.assert_allclose(atoms.get_magnetic_moments(), reference["m"], atol=1e-4)


@pytest.mark.parametrize("model", ["0.3.0", pytest.param("0.2.0", marks=pytest.mark.slow)])
def test_computes_only_what_is_asked(model):
    atoms = rattled()
    atoms.calc = CHGNetCalculator(model, device="cpu")
    atoms.get_potential_energy()
    # The fast engine needs forces and stress to choose its precision.
    assert ("forces" in atoms.calc.results) == (atoms.calc.engine == "numba")
    assert "magmoms" not in atoms.calc.results
    atoms.get_forces()
    assert "magmoms" not in atoms.calc.results
    atoms.get_stress()
    assert {"energy", "free_energy", "stress", "forces"} <= atoms.calc.results.keys()


def test_fine_tuned_model_runs_on_the_fast_engine(tmp_path):
    original = load_checkpoint("0.3.0")
    content = torch.load(original.path, map_location="cpu", weights_only=True)["model"]
    content["state_dict"]["mlp.layers.7.bias"] += 0.5
    torch.save({"model": content}, tmp_path / "tuned.pth.tar")
    tuned = CHGNetCalculator(tmp_path / "tuned.pth.tar", device="cpu", trust=True)
    atoms = rattled()
    shift = tuned.get_potential_energy(atoms) - CHGNetCalculator(device="cpu").get_potential_energy(atoms)
    assert tuned.engine == "numba"
    assert shift == pytest.approx(0.5 * len(atoms), abs=1e-5)


def test_says_once_where_the_fast_engine_does_not_apply(caplog):
    calculator = CHGNetCalculator("0.2.0", device="cpu")
    calculator.get_potential_energy(rattled())
    assert calculator.engine == "chgnet"
    assert [record.message for record in caplog.records if "fast engine" in record.message] == [
        "CHGNet 0.2.0 runs on the chgnet package, not on the fast engine: "
        "gMLP_norm = None (the fast engine needs 'layer')"
    ]


def test_never_prints_and_records_its_weights(capsys):
    calculator = CHGNetCalculator("r2scan", device="cpu")
    assert capsys.readouterr() == ("", "")
    assert calculator.model_name == "r2scan"
    assert calculator.parameters["weights_sha256"] == calculator.weights_sha256
    assert len(calculator.weights_sha256) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.positions.__setitem__((2, 1), np.nan), r"position of atom 2 \(Mg\) is not finite"),
        (lambda a: a.positions.__setitem__(3, a.positions[2] + [0.3, 0, 0]), r"atom 2 .* atom 3 .* 0\.300 Å apart"),
        (lambda a: a.positions.__setitem__(3, a.positions[2]), r"0\.000 Å apart"),
        (lambda a: a.cell.__setitem__((0, 0), np.inf), "cell is not finite"),
        (lambda a: a.set_atomic_numbers([95] + [8] * 7), r"atom 0 \(Am\).*knows H to Pu"),
        (lambda a: a.set_atomic_numbers([0] + [8] * 7), r"atom 0 has no known element \(X\)"),
        (lambda a: a.set_cell(a.cell.array * 20, scale_atoms=True), r"atoms 0 \(Ti\), .* have no neighbor within 6 Å"),
        (lambda a: a.__delitem__(slice(1, None)) or a.set_cell([9, 9, 9]), r"atom 0 \(Ti\) has no neighbor within 6 Å"),
        (
            lambda a: a.__delitem__(slice(1, None)) or a.set_cell([0.4, 9, 9]),
            r"atom 0 \(Ti\) and its image are 0\.400 Å",
        ),
        (lambda a: a.set_pbc([True, True, False]), "all three directions"),
        (lambda a: a.set_cell([[1, 0, 0], [2, 0, 0], [0, 0, 1]]), "volume 0"),
        # beyond 2³¹ cells away the list lacks the atom's pairs; a cell this thin is searched for minutes
        (
            lambda a: a.positions.__setitem__(0, 1e10 * a.cell.array[0]),
            r"position of atom 0 is .* Å long; at most 1e\+06",
        ),
        (lambda a: a.set_cell([300, 300, 1e-5]), r"opposite faces of the cell are 1e-05 Å apart; at least 0\.001 Å"),
    ],
)
def test_refuses_nonsense(change, message):
    atoms = rattled()
    change(atoms)
    atoms.calc = CHGNetCalculator(device="cpu")
    with pytest.raises(ValueError, match=message), np.errstate(all="ignore"):
        atoms.get_potential_energy()


def test_refuses_an_unknown_device():
    with pytest.raises(ValueError, match="device 'tpu' is unknown"):
        CHGNetCalculator(device="tpu")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_takes_a_gpu_that_is_there(two_gpus):
    assert [choose_device(device) for device in ("cuda", "cuda:0", "cuda:1")] == ["cuda", "cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:2", r"^device 'cuda:2' is not available: torch sees GPUs up to cuda:1;"),
        ("cuda:", "^device 'cuda:' is unknown"),
        ("cuda:x", "^device 'cuda:x' is unknown"),
        ("cuda:-1", "^device 'cuda:-1' is unknown"),
    ],
)
def test_refuses_a_gpu_that_is_not_there(two_gpus, device, message):
    with pytest.raises(ValueError, match=message):
        choose_device(device)


def test_says_that_torch_is_built_for_the_cpu(monkeypatch, caplog):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ValueError, match=r"^device 'cuda' is not available: torch .* is built for the CPU alone"):
        choose_device("cuda")
    monkeypatch.setattr("amorph.chgnet.calculator._has_gpu_driver", lambda: True)
    assert choose_device("auto") == "cpu"
    assert "a GPU is here, but torch" in caplog.text


def test_threads_are_a_whole_number():
    with pytest.raises(ValueError, match=r"^threads = 2\.5; a whole number, at least 1, is needed$"):
        CHGNetCalculator(device="cpu", threads=2.5)


# use as any ASE calculator


@pytest.mark.parametrize("model", ["0.3.0", "0.2.0"])
def test_a_left_handed_cell_has_the_stress_of_the_crystal(model):
    atoms = rattled()
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell.array[[1, 0, 2]])
    calculator = CHGNetCalculator(model, device="cpu", threads=1)
    assert mirrored.cell.handedness == -atoms.cell.handedness
    stress = calculator.get_stress(atoms)
    assert np.abs(stress).max() > 1e-3
    np.testing.assert_allclose(calculator.get_stress(mirrored), stress, atol=1e-6)


def test_results_never_belong_to_another_structure():
    calculator, atoms = CHGNetCalculator(device="cpu", threads=1), rattled()
    calculator.calculate(rattled(2), ["magmoms"])
    calculator.calculate(atoms, ["energy"])
    assert "magmoms" not in calculator.results
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(ValueError, match="apart"):
        calculator.calculate(atoms, ["energy"])
    with pytest.raises(ValueError, match="apart"):
        calculator.get_property("energy", atoms)


def test_initial_moments_cost_no_evaluation():
    calculator, atoms = CHGNetCalculator(device="cpu", threads=1), rattled()
    calculator.get_property("energy", atoms)
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    assert calculator.get_property("energy", atoms, allow_calculation=False) is not None


@pytest.mark.parametrize("model", ["r2scan", "0.2.0"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda atoms: pickle.loads(pickle.dumps(atoms))])
def test_copies_keep_the_results_and_give_the_same(model, copied):
    atoms = rattled()
    atoms.calc = CHGNetCalculator(model, device="cpu", threads=1)
    forces = atoms.get_forces()
    again = copied(atoms)
    np.testing.assert_array_equal(again.calc.get_property("forces", again, allow_calculation=False), forces)
    assert (again.calc.parameters, again.calc.weights_sha256) == (atoms.calc.parameters, atoms.calc.weights_sha256)
    again.calc.reset()
    np.testing.assert_array_equal(again.get_forces(), forces)


class Scaled(CHGNetCalculator):
    def __init__(self, strength, **keywords):
        super().__init__(**keywords)
        self.strength = strength


def test_copies_of_a_subclass_are_of_that_class():
    again = copy.deepcopy(Scaled(5, model="r2scan", device="cpu", threads=1))
    assert (type(again), again.strength, again.model_name) == (Scaled, 5, "r2scan")
    assert again.get_property("energy", rattled()) < 0


def test_compiling_is_watched_until_an_evaluation_came_through(monkeypatch):
    watched = []
    monkeypatch.setattr("amorph.chgnet.cpu.engine.announced", lambda _: contextlib.nullcontext(watched.append("")))
    calculator, close = CHGNetCalculator(device="cpu", threads=1), rattled()
    close.positions[1] = close.positions[0]
    with pytest.raises(ValueError, match="apart"):
        calculator.get_property("energy", close)
    for seed in (1, 2):
        calculator.get_property("energy", rattled(seed=seed))
    assert len(watched) == 2


def test_a_dropped_calculator_leaves_its_memory_at_once():
    calculator = CHGNetCalculator(device="cpu", threads=1)
    dropped = weakref.ref(calculator)
    gc.disable()
    try:
        del calculator
        assert dropped() is None
    finally:
        gc.enable()


def test_one_calculator_in_two_threads_is_refused(monkeypatch):
    calculator, inside, done = CHGNetCalculator(device="cpu", threads=1), threading.Event(), threading.Event()
    forward = Network.forward

    def slow(network, moments):
        inside.set()
        assert done.wait(30)
        return forward(network, moments)

    monkeypatch.setattr(Network, "forward", slow)
    other = threading.Thread(target=lambda: calculator.model.evaluate(rattled(), {"energy"}))
    other.start()
    assert inside.wait(30)
    with pytest.raises(RuntimeError, match="at work in another thread"):
        calculator.model.evaluate(rattled(), {"energy"})
    done.set()
    other.join()
    assert calculator.model.evaluate(rattled(), {"energy"})["energy"] < 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer Pythons warn that a process with threads forks
def test_a_forked_process_goes_on_with_the_calculator():
    calculator, atoms = CHGNetCalculator(device="cpu", threads=2), rattled(8)
    forces = calculator.get_forces(atoms)
    calculator.reset()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=lambda: sender.send(calculator.get_forces(atoms)))
    with calculator.model._at_work:  # as if another thread, which the child does not have, were evaluating
        child.start()
    try:
        assert receiver.poll(60)
        np.testing.assert_array_equal(receiver.recv(), forces)
    finally:
        child.kill()
        child.join()


def test_a_batch_refuses_what_chgnet_does_not_compute():
    with pytest.raises(ValueError, match=r"^CHGNet computes no dipole; ask for energy, free_energy, forces, stress"):
        CHGNetBatch(CHGNetCalculator(device="cpu")).evaluate([rattled()], ("forces", "dipole"))
