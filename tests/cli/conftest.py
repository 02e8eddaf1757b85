"""The command line as a user calls it, in a folder of its own."""

from typing import NamedTuple

import numpy as np
import pytest

from amorph import cli, rocksalt
from amorph.export import write_structure


class Called(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def amorph(tmp_path, monkeypatch, capsys):
    """Call the command line with words; the working directory is empty at first."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        captured = capsys.readouterr()
        return Called(status, captured.out, captured.err)

    return call


@pytest.fixture
def oxide(tmp_path):
    """Li-rich disordered rocksalt of 64 atoms, as a file that knows its oxidation states and its parent."""
    built = rocksalt.build("Li2TiO3", supercell=(2, 2, 2), lattice_constant=4.15, rng=np.random.default_rng(0))
    write_structure(tmp_path / "oxide.extxyz", built.atoms)
    return built.atoms


@pytest.fixture
def mgo(tmp_path):
    """MgO in its conventional cell."""
    built = rocksalt.build("MgO", supercell=(1, 1, 1), lattice_constant=4.212, rng=np.random.default_rng(0))
    write_structure(tmp_path / "mgo.extxyz", built.atoms)
    return built.atoms
