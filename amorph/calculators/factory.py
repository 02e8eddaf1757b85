"""The calculator behind a run: CHGNet by default, or anyone's through ``factory = "module:function"``."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from ase.calculators.calculator import BaseCalculator

from amorph.calculators.repulsion import ZBLRepulsion
from amorph.parameters import checked

CHGNET = "amorph.chgnet:CHGNetCalculator"
"""The one factory that is not foreign: another function of amorph could write files or start a run."""


@checked
def make_calculator(
    *,
    factory: str = CHGNET,
    model: str | None = None,
    device: str | None = None,
    repulsion: Literal["zbl"] | None = None,
    arguments: Annotated[dict[str, Any], "keyword arguments of the factory"] = {},  # noqa: B006 (never mutated)
) -> BaseCalculator:
    """Make the ASE calculator that a run file or the command line names.

    Parameters
    ----------
    factory
        Function or class that returns an ASE calculator, as "module:function"; the module may lie in the working
        directory.
    model
        Model name that the factory takes as ``model=`` (CHGNet: 0.3.0, r2scan, 0.2.0, or a file).
    device
        Device that the factory takes as ``device=`` ("cpu", "cuda").
    repulsion
        Short-range repulsion for hot melts, added where atoms come closer than any bond: zbl.
    arguments
        Further keyword arguments for the factory.

    Raises
    ------
    ValueError
        The factory cannot be imported, or what it returns is no ASE calculator.
    """
    function = _imported(factory)
    given = {"model": model, "device": device}
    keywords = {key: value for key, value in given.items() if value is not None} | arguments
    try:
        calculator = function(**keywords)
    except (TypeError, SystemExit) as error:
        raise ValueError(f"calculator factory {factory!r} refused {keywords}: {error}") from error
    if isinstance(calculator, type) or not hasattr(calculator, "get_property"):
        what = f"the class {calculator.__name__}" if isinstance(calculator, type) else f"a {type(calculator).__name__}"
        raise ValueError(f"calculator factory {factory!r} returned {what}, no ASE calculator; name what makes one")
    return ZBLRepulsion(calculator) if repulsion == "zbl" else calculator


def _imported(factory: str) -> Callable[..., Any]:
    module_name, _, name = factory.partition(":")
    if not module_name or not name:
        raise ValueError(f"calculator factory {factory!r} has no function; write it as 'module:function'")
    try:
        with _own_modules(module_name.partition(".")[0]):
            function: Callable[..., Any] = getattr(importlib.import_module(module_name), name)
    except (Exception, SystemExit) as error:  # a module may raise what it likes
        kind = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        raise ValueError(
            f"calculator factory {factory!r} cannot be imported: {kind}{error}; check the names, and that the "
            "module is installed or lies in the working directory"
        ) from error
    return function


@contextlib.contextmanager
def _own_modules(top: str) -> Iterator[None]:
    """Find modules in the working directory too, but only for one that lies there.

    An installed one would take from there whatever it imports where it is installed, and goes without where not.
    """
    if top in sys.modules or (top and importlib.util.find_spec(top) is not None):
        yield
        return
    # Last, so that no file of the working directory stands in for an installed module.
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        if here in sys.path:
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(here)]


def calculator_name(calculator: Any) -> str:
    """Name the model behind a calculator, for results and reports."""
    calculator = getattr(calculator, "stands_for", calculator)
    if isinstance(calculator, ZBLRepulsion):
        return f"{calculator_name(calculator.calculator)} + ZBL"
    model = getattr(calculator, "model_name", None)
    kind = type(calculator).__name__.removesuffix("Calculator")
    return f"{kind} {model}" if model else kind
