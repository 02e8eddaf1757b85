"""Speed and memory of the CHGNet engine against the chgnet package, in one process.

    python benchmarks/chgnet_engine.py                    # 64 and 216 atoms
    python benchmarks/chgnet_engine.py --repeats 5 --calls 3  # 1000 atoms: stock needs 15 GB
    python benchmarks/chgnet_engine.py --repeats 5 10 --largest-stock 0  # ours alone

Both codes take turns on the same structures, which move a little between calls, and the medians of the ratios are
reported: on a shared machine times vary more than ratios. "stock ef" is the chgnet package asked for energy and forces
through its own graph converter; "stock default" its ASE calculator's default call; "user" the share of stock ef's
processor time that is its own, the rest is the kernel's, which hands out its pages. "again" is our time where
activations are computed again on the way back, as where memory is short, over that where they are kept. The floor is
what the matrix products of one evaluation would take at the rate that torch's float32 products reach with as many
threads. The peak memory is that of a process of its own, above what it holds once amorph.chgnet.cpu.engine is imported,
and numba with it: calculator and first call.
"""

import argparse
import contextlib
import importlib
import io
import multiprocessing
import os
import re
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk


def rocksalt(repeat: int, amplitude: float = 0.1, seed: int = 0) -> Atoms:
    """Disordered Li2Ti1/3Mo2/3O3-like rocksalt of 8 · repeat³ atoms."""
    rng = np.random.default_rng(seed)
    atoms = bulk("MgO", "rocksalt", a=4.15, cubic=True) * (repeat, repeat, repeat)
    cations = np.flatnonzero(atoms.numbers == 12)
    lithium, titanium = round(cations.size * 2 / 3), round(cations.size / 9)
    elements = [3] * lithium + [22] * titanium + [42] * (cations.size - lithium - titanium)
    atoms.numbers[cations] = rng.permutation(elements)
    atoms.positions += rng.normal(scale=amplitude, size=atoms.positions.shape)
    return atoms


def products(atoms: Atoms) -> float:
    """Count the floating-point operations of all matrix products of one forward and backward pass, none repeated."""
    from amorph.chgnet.cpu.graph import VerletList

    graph = VerletList(6.0, 3.0, 0.002, 1.0).graph(atoms)
    per_angle = 2 * 64 * 128 * 6
    per_bond = 2 * 2 * 64 * 128 * 3
    return 2.0 * (graph.angle_knot.size * per_angle + graph.i.size * per_bond)


def sgemm_rate() -> float:
    """Measure the rate of a large float32 matrix product in torch, with the threads it is set to [FLOP/s]."""
    import torch

    a = torch.ones((2048, 2048))
    return float(2 * 2048**3 / min(timed(lambda: a @ a) for _ in range(7)))


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def user_share(before: os.times_result) -> float:
    """Share of the processor time since then that was spent in the process itself, not in the kernel."""
    after = os.times()
    user, system = after.user - before.user, after.system - before.system
    return user / max(user + system, 1e-9)


def computing_again(calculator: Any, atoms: Atoms) -> None:
    """Evaluate with a calculator that keeps no activations."""
    from amorph.chgnet.cpu import memory

    share = memory.KEPT_SHARE
    memory.KEPT_SHARE = -1.0
    try:
        calculator.get_property("forces", atoms)
    finally:
        memory.KEPT_SHARE = share


def peak_memory(repeat: int, threads: int) -> float:
    """Largest resident size of a new process that evaluates one structure, above its size after import [GB]."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory, (repeat, threads))


def _peak_memory(repeat: int, threads: int) -> float:
    from amorph.chgnet import CHGNetCalculator

    def resident(name: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
        assert found is not None  # Linux has both
        return 1024e-9 * int(found[1])

    importlib.import_module("amorph.chgnet.cpu.engine")
    before = resident("VmRSS")
    CHGNetCalculator("0.3.0", device="cpu", threads=threads).get_property("forces", rocksalt(repeat))
    return resident("VmHWM") - before


def compare(repeat: int, calls: int, threads: int, largest_stock: int, largest_default: int, rate: float) -> None:
    """Print one line of the table."""
    from amorph.chgnet import CHGNetCalculator

    rng = np.random.default_rng(1)
    atoms = rocksalt(repeat)
    memory = peak_memory(repeat, threads)
    ours = CHGNetCalculator("0.3.0", device="cpu", threads=threads)
    ours.get_property("forces", atoms)
    thrifty = CHGNetCalculator("0.3.0", device="cpu", threads=threads)
    computing_again(thrifty, atoms)
    stock_force = stock_default = None
    if len(atoms) <= largest_stock:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from chgnet.model import CHGNet
            from chgnet.model.dynamics import CHGNetCalculator as Stock

            stock = Stock(CHGNet.load(verbose=False, use_device="cpu"), use_device="cpu")
        stock_force = lambda: stock.calculate(atoms, task="ef")  # noqa: E731
        if len(atoms) <= largest_default:
            stock_default = lambda: stock.calculate(atoms)  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cold in (stock_force, stock_default):
            if cold is not None:
                cold()
    times: list[float] = []
    against_force: list[float] = []
    against_default: list[float] = []
    again: list[float] = []
    users: list[float] = []
    for _ in range(calls):
        own = []
        for _ in range(3):  # the first one still shares the cores with threads of stock that spin
            atoms.positions += rng.normal(scale=0.01, size=atoms.positions.shape)
            own.append(timed(lambda: ours.get_property("forces", atoms)))
        mine = statistics.median(own)
        times.append(mine)
        again.append(timed(lambda: computing_again(thrifty, atoms)) / own[-1])
        if stock_force is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                before = os.times()
                against_force.append(timed(stock_force) / mine)
                users.append(user_share(before))
                if stock_default is not None:
                    against_default.append(timed(stock_default) / mine)
    median = statistics.median(times)
    floor = products(atoms) / rate
    ratios = [f"{statistics.median(r):7.1f}x" if r else "      - " for r in (against_force, against_default)]
    user = f"{statistics.median(users):6.0%}" if users else "     -"
    print(
        f"{len(atoms):6d} {median:9.4f} {1e3 * median / len(atoms):9.3f} {ratios[0]:>10} {user} {ratios[1]:>14} "
        f"{statistics.median(again):6.2f} {memory:9.2f} {median / floor:8.1f}x",
        flush=True,
    )


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3], help="cells of 8 atoms along each axis")
    parser.add_argument(
        "--calls", type=int, default=5, help="rounds: one evaluation of stock, the median of three of ours"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--largest-stock", type=int, default=1000, help="most atoms that stock ef is asked for")
    parser.add_argument(
        "--largest-default", type=int, default=500, help="the same for stock's default call (1000 atoms: 23 GB)"
    )
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    rate = sgemm_rate()
    print(f"sgemm {rate / 1e9:.0f} GFLOP/s, {options.threads} threads")
    print(" atoms  ours[s]  ms/atom  stock ef/ours   user  default/ours  again  peak[GB]  over floor")
    for repeat in options.repeats:
        compare(repeat, options.calls, options.threads, options.largest_stock, options.largest_default, rate)


if __name__ == "__main__":
    main()
