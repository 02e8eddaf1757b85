"""The calculator behind a run, made from "module:function"."""

import sys
from types import SimpleNamespace

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from toys import Ions

from amorph.calculators import calculator_name, make_calculator


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, and no trace of what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_class_of_an_installed_module_is_a_factory():
    copper = bulk("Cu", cubic=True)
    copper.calc = make_calculator(factory="ase.calculators.emt:EMT")
    assert copper.get_potential_energy() == (EMT().get_potential_energy(copper))


def test_the_module_may_lie_in_the_working_directory(here):
    (here / "mine_for_test.py").write_text(
        "from ase.calculators.lj import LennardJones\n"
        "def make(model, device, depth=1.0): return LennardJones(epsilon=depth, sigma=len(model + device))\n"
    )
    path = list(sys.path)
    calculator = make_calculator(factory="mine_for_test:make", model="abc", device="cpu", arguments={"depth": 2.0})
    assert (calculator.parameters.epsilon, calculator.parameters.sigma) == (2.0, 6)
    assert sys.path == path


def test_the_working_directory_stands_in_for_no_installed_module(here, monkeypatch):
    monkeypatch.delitem(sys.modules, "ase.calculators.lj", raising=False)
    monkeypatch.delitem(sys.modules, "fractions", raising=False)
    (here / "fractions.py").write_text("raise RuntimeError('shadowed')\n")
    (here / "mine_for_test.py").write_text("import fractions\nfrom ase.calculators.lj import LennardJones as make\n")
    make_calculator(factory="mine_for_test:make")


def test_an_installed_module_takes_nothing_from_the_working_directory(here, monkeypatch):
    site = here / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    (site / "installed_for_test.py").write_text(
        "try:\n    import optional_for_test\nexcept ImportError:\n    from ase.calculators.emt import EMT as make\n"
    )
    (here / "optional_for_test.py").write_text("raise RuntimeError('code that nobody named')\n")
    assert isinstance(make_calculator(factory="installed_for_test:make"), EMT)
    (here / "mine_for_test.py").write_text("import helper_for_test\nmake = helper_for_test.EMT\n")
    (here / "helper_for_test.py").write_text("from ase.calculators.emt import EMT\n")
    assert isinstance(make_calculator(factory="mine_for_test:make"), EMT)


def test_a_key_that_is_not_given_is_not_passed_on():
    assert isinstance(make_calculator(factory="toys:Ions"), Ions)  # takes neither model nor device


@pytest.mark.parametrize(
    ("calculator", "name"),
    [
        (EMT(), "EMT"),
        (type("CHGNetCalculator", (), {"model_name": "0.3.0"})(), "CHGNet 0.3.0"),
        (type("MaceCalculator", (), {"model_name": None})(), "Mace"),
        (SimpleNamespace(), "SimpleNamespace"),
    ],
)
def test_a_result_names_its_model(calculator, name):
    assert calculator_name(calculator) == name


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("toys", "'toys' has no function; write it as 'module:function'"),
        ("toys:", "has no function"),
        (":Ions", "has no function"),
        ("no_such_module:make", "cannot be imported: No module named 'no_such_module'; check the names"),
        ("toys:Iona", "cannot be imported: module 'toys' has no attribute 'Iona'"),
        (".toys:Ions", "cannot be imported: TypeError: "),
        ("broken_for_test:make", "cannot be imported: NameError: name 'nothing' is not defined"),
        ("garbled_for_test:make", "cannot be imported: SyntaxError: "),
        ("os:path", "refused {}: 'module' object is not callable"),
        ("builtins:dict", "returned a dict, no ASE calculator; name what makes one"),
        ("class_for_test:make", "returned the class EMT, no ASE calculator"),
    ],
)
def test_a_factory_that_is_none_is_refused_in_one_line(here, factory, said):
    (here / "broken_for_test.py").write_text("nothing\n")
    (here / "garbled_for_test.py").write_text("def (\n")
    (here / "class_for_test.py").write_text("def make():\n    from ase.calculators.emt import EMT\n    return EMT\n")
    with pytest.raises(ValueError, match="calculator factory") as caught:
        make_calculator(factory=factory)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"'toys:Ions' refused \{'model': 'x', 'size': 3\}: .*unexpected keyword"):
        make_calculator(factory="toys:Ions", model="x", arguments={"size": 3})


def test_the_default_is_chgnet():
    with pytest.raises(ValueError, match="nosuch"):
        make_calculator(model="nosuch")
