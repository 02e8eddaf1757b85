import json

import numpy as np
import pytest

from amorph import face_coordination, free_volume, tessellate


def test_per_atom_lists_faces_neighbors_and_coordination(amorph, oxide):
    figures = json.loads(amorph("free-volume", "oxide.extxyz", "--ion", "Li+", "--per-atom", "--json").out)
    cells = tessellate(oxide)
    coordination = face_coordination(cells)
    assert (figures["smallest_share"], len(figures["atoms"])) == (0.05, len(oxide))
    assert figures["free_volume"] == pytest.approx(free_volume(oxide, ion="Li+").free_volume, rel=1e-9)
    for row in figures["atoms"]:
        own = cells.i == row["atom"]
        assert row["species"] == oxide.symbols[row["atom"]]
        assert row["volume"] == pytest.approx(cells.volumes[row["atom"]], rel=1e-6)
        assert row["surface"] == pytest.approx(sum(face["area"] for face in row["neighbors"]), rel=1e-12)
        assert row["faces"] == len(row["neighbors"]) == own.sum()
        assert row["coordination_number"] == coordination.coordination_numbers[row["atom"]]
        assert [face["atom"] for face in row["neighbors"]] == cells.j[own].tolist()
        assert [face["shift"] for face in row["neighbors"]] == cells.S[own].tolist()
    [pair] = [one for one in figures["coordination"] if (one["species"], one["neighbor"]) == ("Ti", "O")]
    # undisturbed rocksalt: the cube of a cation has its six oxygen neighbors behind its faces
    assert pair["coordination_number"] == 6.0
    assert pair["share"] == pytest.approx(1.0, abs=1e-9)


def test_table_names_the_species_behind_the_faces(amorph, mgo):
    called = amorph("free-volume", "mgo.extxyz", "--per-atom", "--smallest-share", 0.1)
    lines = called.out.splitlines()
    assert called.status == 0
    assert any(line.split()[:2] == ["0", "Mg"] and line.endswith("O 6") for line in lines)
    assert "coordination by faces of at least 10 % of an atom's surface" in lines
    assert "free volume fraction f_V           0.00 %" in lines


def test_smallest_share_counts_only_larger_faces(amorph, tmp_path, oxide):
    oxide.rattle(0.15, seed=1)
    oxide.write(tmp_path / "rattled.extxyz")
    numbers = []
    for share in (0.0, 0.01, 0.1):
        called = amorph("free-volume", "rattled.extxyz", "--per-atom", "--json", "--smallest-share", share)
        numbers.append([row["coordination_number"] for row in json.loads(called.out)["atoms"]])
    faces = [row["faces"] for row in json.loads(called.out)["atoms"]]
    assert numbers[0] == faces
    assert np.mean(numbers[0]) > np.mean(numbers[1]) > np.mean(numbers[2]) > 4


def test_power_cells_are_listed_too(amorph, oxide):
    command = ("free-volume", "oxide.extxyz", "--per-atom", "--json", "--tessellation", "power")
    figures = json.loads(amorph(*command, "--radii", "Li=0.76", "Ti=0.605", "O=1.4", "Mg=0.72").out)
    cells = tessellate(oxide, tessellation="power", radii={"Li": 0.76, "Ti": 0.605, "O": 1.4})
    assert [row["volume"] for row in figures["atoms"]] == pytest.approx(cells.volumes.tolist(), rel=1e-6)


def test_smallest_share_without_per_atom_is_refused(amorph, mgo):
    called = amorph("free-volume", "mgo.extxyz", "--smallest-share", 0.1)
    assert (called.status, called.out) == (2, "")
    assert called.err.startswith("amorph: --smallest-share belongs to the coordination that --per-atom lists")
    called = amorph("free-volume", "mgo.extxyz", "--per-atom", "--smallest-share", 2)
    assert (called.status, called.out) == (2, "")
    assert "--smallest-share = 2.0 must be less than or equal to 1" in called.err


def test_messages_name_flags(amorph, oxide):
    called = amorph("free-volume", "oxide.extxyz", "--anion", "F")
    assert (called.status, called.out) == (2, "")
    assert "--anion = F is not in the cell, which has Li" in called.err
    called = amorph("free-volume", "oxide.extxyz", "--oxygen-volume-source", "mine")
    assert "--oxygen-volume-source = 'mine' describes a number; give --oxygen-volume in" in called.err
    assert "--ion = K+ is not in the cell" in amorph("free-volume", "oxide.extxyz", "--ion", "K+").err


def test_an_oxide_of_the_table_is_the_reference(amorph, oxide):
    called = amorph("free-volume", "oxide.extxyz", "--oxygen-volume", "TiO2_rutile")
    assert called.status == 0
    assert "packs its O more closely" in called.err  # than rutile
    assert "experiment: TiO2_rutile, mean over its oxygen" in called.out
    assert "(given)" in amorph("free-volume", "oxide.extxyz", "--oxygen-volume", 9.5).out
