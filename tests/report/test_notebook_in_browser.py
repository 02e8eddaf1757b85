"""What a notebook shows of results, as its HTML holds it, in a real browser: every frame draws its view."""

import io

import numpy as np
import pytest
from ase.build import bulk
from browser import Browser, required_browser
from PIL import Image

import amorph
from amorph.report.notebook import html_of

pytestmark = pytest.mark.slow


def test_a_map_a_structure_and_a_surface_are_drawn_in_their_frames(tmp_path):
    required_browser()
    mgo = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    energies = amorph.bvse_map(mgo, "Mg2+", grid=(16, 16, 16))
    shown = (
        amorph.bvs_map(mgo, "Mg2+", grid=(12, 12, 12)),
        mgo,
        amorph.isosurface(energies, value=energies.minimum + 1),
    )
    (tmp_path / "notebook.html").write_text(
        "<!DOCTYPE html><meta charset=utf-8><body style='background:#fff'><div id=viewer data-ready=yes></div>"
        + "".join(f"<div>{html_of(result)}</div>" for result in shown),
        encoding="utf-8",
    )
    with Browser(tmp_path) as browser:
        browser.open(tmp_path / "notebook.html", width=900, height=2400)
        browser.wait("document.readyState === 'complete'")
        boxes = browser.run(
            "[...document.querySelectorAll('iframe')].map(f => { const b = f.getBoundingClientRect();"
            " return [b.left, b.top, b.left + 0.5 * b.width, b.bottom]; })"
        )
        assert len(boxes) == len(shown)

        def colors():
            browser.screenshot(tmp_path / "shot.png")
            with Image.open(io.BytesIO((tmp_path / "shot.png").read_bytes())) as image:
                parts = [np.asarray(image.convert("RGB").crop(box)).reshape(-1, 3) for box in boxes]
            return [len(np.unique(part, axis=0)) for part in parts]

        for _ in range(60):  # frames draw one after the other
            if min(colors()) > 500:
                break
        assert min(colors()) > 500, colors()
        assert browser.complaints == []
