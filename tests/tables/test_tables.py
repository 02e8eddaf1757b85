import pytest
from hypothesis import given, strategies as st

from amorph.tables import Ion, bond_valence, parse_ion, radius, soft_bond_valence
from amorph.tables.radius_sets import radii

# Brown & Altermatt (1985), doi:10.1107/S0108768185002063; Mo4+, Mo5+ and Mo in any state from bvparm2020.
BOND_VALENCE = {
    "Mg2+": (1.693, 0.37),
    "Li+": (1.466, 0.37),
    "Na+": (1.803, 0.37),
    "K+": (2.132, 0.37),
    "Ca2+": (1.967, 0.37),
    "Zn2+": (1.704, 0.37),
    "Al3+": (1.651, 0.37),
    "Ti4+": (1.815, 0.37),
    "Mo6+": (1.907, 0.37),
    "Mo5+": (1.878, 0.37),
    "Mo4+": (1.856, 0.37),
    "Mo3+": (1.879, 0.30),
}
# Chen & Adams (2019): D0, Rmin, b, R0.
SOFT_BV = {
    "Mg2+": (1.57554, 1.95626, 0.512, 1.48398),
    "Li+": (0.98816, 1.94001, 0.516, 1.17096),
    "Na+": (0.57523, 2.37433, 0.482, 1.56225),
    "K+": (0.34985, 2.76636, 0.436, 1.94117),
    "Ca2+": (0.99429, 2.32032, 0.476, 1.79519),
    "Zn2+": (1.24031, 1.88557, 0.403, 1.65344),
    "Al3+": (1.80346, 1.75806, 0.424, 1.59901),
    "Ti4+": (2.81333, 1.83144, 0.503, 1.72394),
    "Mo4+": (3.10807, 1.85099, 0.562, 1.72390),
    "Mo5+": (2.64802, 1.78670, 0.482, 1.84760),
    "Mo6+": (1.99150, 1.71254, 0.391, 1.90934),
}
BVPARM = """\
data_BOND_VALENCE_PARAMETERS
loop_
_valence_ref_id
_valence_ref_reference
 a 'a first source'
 b 'a second source'
loop_
_valence_param_atom_1
_valence_param_atom_1_valence
_valence_param_atom_2
_valence_param_atom_2_valence
_valence_param_Ro
_valence_param_B
_valence_param_ref_id
_valence_param_details
Mg 2 O -2 1.7 0.36 a ?
Mg 2 O -2 1.6 0.35 b 'less reliable'
Ti 9 O -2 1.79 0.37 b unchecked
Ti 4 F -1 1.76 0.37 a ?
"""


@pytest.mark.parametrize(("ion", "values"), BOND_VALENCE.items())
def test_bond_valence_has_the_cited_values(ion, values):
    found = bond_valence(ion)
    assert (found.r0, found.b) == values
    assert found.source.endswith("as bvparm2020 lists it") == (ion in {"Mo4+", "Mo5+"})
    assert (found.cation, found.anion, found.estimated) == (ion, "O2-", False)
    assert found == bond_valence(ion, "O") == bond_valence(parse_ion(ion), Ion("O", -2))


@pytest.mark.parametrize(("ion", "values"), SOFT_BV.items())
def test_soft_bond_valence_has_the_cited_values(ion, values):
    found = soft_bond_valence(ion)
    assert (found.d0, found.r_min, found.b, found.r0) == values
    assert found.source.endswith("list it") == (ion in {"Mo4+", "Mo5+"})


@pytest.mark.parametrize(
    ("text", "ion", "name"),
    [
        ("Mg2+", Ion("Mg", 2), "Mg2+"),
        ("Mg+2", Ion("Mg", 2), "Mg2+"),
        ("Mg²⁺", Ion("Mg", 2), "Mg2+"),
        (" Li+ ", Ion("Li", 1), "Li+"),
        ("Li1+", Ion("Li", 1), "Li+"),
        ("O2-", Ion("O", -2), "O2-"),
        ("O2−", Ion("O", -2), "O2-"),
        ("F-", Ion("F", -1), "F-"),
    ],
)
def test_parse_ion_reads_what_chemists_write(text, ion, name):
    assert parse_ion(text) == ion
    assert parse_ion(text).name == str(ion) == name


@given(st.sampled_from(["H", "Li", "Mg", "Mo", "O", "Cl"]), st.integers(-8, 8).filter(bool))
def test_parse_ion_reads_back_every_name(element, charge):
    ion = Ion(element, charge)
    assert parse_ion(ion.name) == ion


def test_shannon_radii_are_those_of_pymatgen():
    from pymatgen.core import Species

    sets = {name: radii(f"shannon_ionic{name}") for name in ("", ":IV", ":VI", ":VIII")}
    assert len(sets[""]) > 200
    for name, value in sets[":VI"].items():
        assert sets[""][name] == value
    for coordination in ("IV", "VI", "VIII"):
        for ion, value in sets[f":{coordination}"].items():
            spin = "Low Spin" if ion == "Co3+" else "High Spin"
            parsed = parse_ion(ion)
            tabulated = Species(parsed.element, parsed.charge).element.data["Shannon radii"][str(parsed.charge)]
            by_spin = tabulated[coordination]
            assert value == by_spin.get(spin, by_spin.get("", next(iter(by_spin.values()))))["ionic_radius"]
    # six is not tabulated: the nearest number of neighbors is
    assert (sets[""]["N3-"], sets[":IV"]["N3-"]) == (1.46, 1.46)
    assert "N3-" not in sets[":VI"]


def test_cordero_radii_end_where_the_source_ends():
    covalent = radii("cordero_covalent")
    # Cordero et al. (2008), as ASE ships them
    assert (covalent["H"], covalent["O"], covalent["Mg"], covalent["Ti"], covalent["Mo"]) == (
        0.31,
        0.66,
        1.41,
        1.60,
        1.54,
    )
    assert len(covalent) == 96
    assert "Bk" not in covalent


def test_radius_finds_the_ion_of_an_atom():
    assert radius("shannon_ionic", "Mo", 4) == 0.65
    assert radius("shannon_ionic", "Mo", 6.0) == 0.59
    assert radius("shannon_ionic", "Mg") == 0.72
    assert radius("shannon_ionic", "S") == 1.84  # the anion, where no charge says another
    assert radius("shannon_ionic", "Mn", 3.5) == pytest.approx(0.5 * (0.645 + 0.53))
    assert radius("cordero_covalent", "Mo") == radius("cordero_covalent", "Mo", 4) == 1.54


def test_a_bvparm_file_replaces_the_table(tmp_path):
    path = tmp_path / "bvparm.cif"
    path.write_text(BVPARM)
    first = bond_valence("Mg2+", parameters=path)
    assert (first.r0, first.b, first.set) == (1.7, 0.36, "bvparm.cif")
    assert "bvparm.cif" in first.source
    assert "ref. a" in first.source
    assert bond_valence("Ti3+", parameters=path).r0 == 1.79  # any oxidation state
    assert bond_valence("Ti4+", "F-", parameters=path).r0 == 1.76
    with pytest.raises(ValueError, match=r"no bond-valence parameters for Li\+–O2- in .*bvparm.cif; pass r0 and b"):
        bond_valence("Li+", parameters=path)


@pytest.mark.parametrize(
    "content", [b"", b"not a cif at all", b"data_x\n_a 1\n", b"\x00\xff\x10", b"data_\nloop_\n_b\n'"]
)
def test_a_file_that_is_no_bvparm_is_refused(tmp_path, content):
    path = tmp_path / "rubbish.cif"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"rubbish.cif is no bvparm .cif"):
        bond_valence("Mg2+", parameters=path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    for path in (tmp_path / "none.cif", tmp_path):
        with pytest.raises(ValueError, match="cannot read the parameter file"):
            bond_valence("Mg2+", parameters=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Mg", "cannot read 'Mg' as an ion; give an element and its charge"),
        ("", "cannot read '' as an ion"),
        ("2+", "cannot read '2\\+' as an ion"),
        ("mg2+", "cannot read 'mg2\\+' as an ion"),
        ("Mg2+3", "cannot read 'Mg2\\+3' as an ion"),
        ("Xx2+", "unknown element 'Xx'"),
        ("X2+", "unknown element 'X'"),
        ("Mg0+", "an ion Mg of charge \\+0 e: the charge must be 1 to 8"),
        ("Mg9+", "an ion Mg of charge \\+9 e: the charge must be 1 to 8"),
    ],
)
def test_parse_ion_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        parse_ion(text)


def test_missing_parameters_say_what_to_do():
    with pytest.raises(ValueError, match=r"^no bond-valence parameters for Li\+–F- in gagne_hawthorne2015; brown_"):
        bond_valence("Li+", "F-", set="gagne_hawthorne2015")
    with pytest.raises(ValueError, match=r"^no bond-valence parameters for Fe4\+–O2- in the default sets; .*estimates"):
        bond_valence("Fe4+", estimates=False)
    with pytest.raises(ValueError, match=r"the size of Xe to estimate them from is not tabulated; pass r0 and b"):
        bond_valence("Xe2+", "F-")
    with pytest.raises(ValueError, match=r"^there is no set of parameters 'iucr'; the sets are brown_altermatt1985"):
        bond_valence("Li+", set="iucr")
    with pytest.raises(ValueError, match=r"^no soft-BV parameters for Mg2\+–Se2-; chen_adams2019 has Mg2\+ with O2-"):
        soft_bond_valence("Mg2+", "Se")
    with pytest.raises(ValueError, match=r"^the set brese_okeeffe1991 has no Morse parameters; only chen_adams2019"):
        soft_bond_valence("Mg2+", set="brese_okeeffe1991")


def test_unknown_radii_say_what_there_is():
    with pytest.raises(ValueError, match=r"unknown radii set 'atomic'; the sets are shannon_ionic, .*cordero"):
        radii("atomic")
    with pytest.raises(ValueError, match=r"has Mo3\+, Mo4\+, Mo5\+, Mo6\+; give the oxidation states of Mo"):
        radius("shannon_ionic", "Mo")
    with pytest.raises(ValueError, match=r"has no Mo of oxidation state \+2"):
        radius("shannon_ionic", "Mo", 2)
    with pytest.raises(ValueError, match="has no Bk; give the radius"):
        radius("cordero_covalent", "Bk")
