"""The verb that draws structures."""

from PIL import Image


def test_a_structure_and_the_surface_of_a_field(amorph, mgo, tmp_path):
    assert amorph("picture", "mgo.extxyz", "-o", "a.png", "--width", 200, "--along", "c").status == 0
    amorph("bvse", "mgo.extxyz", "--ion", "Mg2+", "--spacing", 0.6, "-o", "e.npz")
    assert amorph("picture", "e.npz", "--level", 0, "-o", "b.png", "--width", 200, "--hide", "legend").status == 0
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as image:
            assert max(image.size) >= 200


def test_what_does_not_belong_is_told(amorph, mgo):
    amorph("bvse", "mgo.extxyz", "--ion", "Mg2+", "--spacing", 0.6, "-o", "e.npz")
    for words, said in (
        (("mgo.extxyz",), "give -o"),
        (("mgo.extxyz", "--level", "1", "-o", "a.png"), "belongs to a field"),
        (("e.npz", "-o", "a.png"), "give --level"),
        (("no.cif", "-o", "a.png"), "does not exist"),
        (("mgo.extxyz", "--hide", "Xe", "-o", "a.png"), "--hide"),
        (("e.npz", "--level", "1", "--window", "0.1", "-o", "a.png"), "give one of them"),
        (("e.npz", "--level", "1", "--block", "x", "-o", "a.png"), "--block"),
        (("mgo.extxyz", "--ion", "Li+", "-o", "a.png"), "it has Mg, O"),
        (("e.npz", "--level", "1", "--ion", "Li+", "-o", "a.png"), "it has Mg, O"),
        (("mgo.extxyz", "--repeat", "50", "50", "50", "-o", "a.png"), "1000000 atoms"),
    ):
        status, _, error = amorph("picture", *words)
        assert status == 2
        assert said in error
