import numpy as np
import pytest

from amorph.export.picture.rendering import Camera, Panes, Scene, Spheres, Triangles, render

SIZE = 120
NONE = np.zeros((0, 3))
NO_TRIANGLES = Triangles(NONE, NONE, NONE.astype(np.int64), NONE)
NO_SPHERES = Spheres(NONE, np.zeros(0), NONE)
NO_PANES = Panes(np.zeros((0, 3, 3)), NONE, 0.5)
RED, GREEN, GREY = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 0.5)


def view(scene, axes=None, distance=1e6, **options):
    """Look along −z at the square from −3 to 3 Å."""
    camera = Camera(np.eye(3) if axes is None else axes, np.zeros(3), distance, (-3.0, -3.0), SIZE / 6, SIZE, SIZE)
    return render(scene, camera, **{"fog": 0.0, "map_size": 256} | options)


def spheres(*each):
    centers, radii, colors = zip(*each, strict=True)
    return Spheres(np.array(centers, float), np.array(radii, float), np.array(colors, float))


def sheet(z, color=GREY, half=2.0, tilt=0.0):
    x, y = half * np.cos(tilt), half
    vertices = np.array([(-x, -y, z - half * np.sin(tilt)), (x, -y, z + half * np.sin(tilt))])
    vertices = np.vstack([vertices, vertices[::-1] * [1, -1, 1]])
    normal = np.tile([-np.sin(tilt), 0.0, np.cos(tilt)], (4, 1))
    return Triangles(vertices, normal, np.array([(0, 1, 2), (0, 2, 3)]), np.tile(color, (2, 1)))


def drawn(image):
    return (image < 255).any(axis=2)


# --- closed form


def test_a_sphere_covers_its_disc():
    image = view(Scene(NO_TRIANGLES, spheres(((0.5, -0.7, 0), 1.5, RED)), NO_PANES))
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == np.uint8
    rows, columns = np.nonzero(drawn(image))
    # an outline widens the radius of 30 pixels by one
    assert np.count_nonzero(drawn(image)) == pytest.approx(np.pi * 31**2, rel=0.03)
    assert columns.mean() == pytest.approx((0.5 + 3) / 6 * SIZE - 0.5, abs=0.3)
    assert rows.mean() == pytest.approx((3 + 0.7) / 6 * SIZE - 0.5, abs=0.3)  # the top row comes first


def test_a_sheet_covers_its_area_without_seams():
    image = view(Scene(sheet(0.0), NO_SPHERES, NO_PANES))
    inside = image[22:98, 22:98]
    # no gap between the triangles, though their edge runs through the middles of pixels
    assert (inside == inside[0, 0]).all()
    assert np.count_nonzero(drawn(image)) == pytest.approx(82 * 82, rel=0.03)


def test_a_free_surface_that_faces_the_viewer_has_its_color():
    flat = view(Scene(sheet(0.0), NO_SPHERES, NO_PANES))[60, 60]
    # sky 0.75, key 0.95 · cos: linear 0.5 · 1.28 + shine, in sRGB
    key = np.array([-0.47, 0.68, 0.56])
    key /= np.linalg.norm(key)
    to_half_way = np.sqrt((1 + key[2]) / 2)  # cosine of half the angle between viewer and key light
    linear = 0.5 * (0.75 + 0.95 * key[2]) + 0.18 * to_half_way**40
    assert flat.tolist() == pytest.approx([255 * (1.055 * linear ** (1 / 2.4) - 0.055)] * 3, abs=2)


# --- what hides what


@pytest.mark.parametrize("first", [0, 1])
def test_the_nearer_sphere_is_seen_whatever_the_order(first):
    near, far = ((0.0, 0.0, 1.0), 0.8, RED), ((0.0, 0.0, -1.0), 1.5, GREEN)
    image = view(Scene(NO_TRIANGLES, spheres(*[(near, far), (far, near)][first]), NO_PANES))
    red, green, _ = image[60, 60].astype(int)
    assert red > green + 100
    red, green, _ = image[60, 60 + 24].astype(int)  # 1.2 Å from the middle, beside the nearer one
    assert green > red + 50


def test_a_sphere_pierces_a_sheet_where_geometry_says():
    image = view(Scene(sheet(0.6, GREEN), spheres(((0, 0, 0), 1.0, RED)), NO_PANES)).astype(int)
    red = image[..., 0] > image[..., 1] + 20
    # a cap of radius √(1 − 0.6²) = 0.8 Å = 16 pixels sticks out
    assert np.count_nonzero(red) == pytest.approx(np.pi * 16**2, rel=0.05)


def test_a_pane_lets_its_share_through():
    pane = Panes(np.array([[(-3, -3, 1), (9, -3, 1), (-3, 9, 1)]], float), np.zeros((1, 3)), 0.25)
    image = view(Scene(NO_TRIANGLES, NO_SPHERES, pane))
    linear = ((image[60, 60] / 255 + 0.055) / 1.055) ** 2.4
    # black glass before white, but for its shine: 0.75 + 0.25 · 0.18 · (half · z)^40
    assert linear == pytest.approx(0.75, abs=0.01)


def test_a_pane_behind_something_solid_is_not_seen():
    back = Panes(np.array([[(-3, -3, -1), (9, -3, -1), (-3, 9, -1)]], float), np.array([RED]), 0.5)
    with_pane, without = (view(Scene(sheet(0.0), NO_SPHERES, panes))[60, 60] for panes in (back, NO_PANES))
    assert with_pane.tolist() == without.tolist()


def test_panes_are_laid_farthest_first_whatever_their_order():
    corners = np.array([[(-3, -3, z), (9, -3, z), (-3, 9, z)] for z in (1.0, -1.0)])
    colors = np.array([RED, GREEN])
    a = view(Scene(NO_TRIANGLES, NO_SPHERES, Panes(corners, colors, 0.6)))
    b = view(Scene(NO_TRIANGLES, NO_SPHERES, Panes(corners[::-1], colors[::-1], 0.6)))
    assert (a == b).all()
    assert int(a[60, 60, 0]) > int(a[60, 60, 1])  # the nearer one is red


# --- light


def test_things_cast_shadows_away_from_the_key_light():
    alone = view(Scene(sheet(-1.0, half=2.9), NO_SPHERES, NO_PANES)).astype(int)
    shaded = view(Scene(sheet(-1.0, half=2.9), spheres(((0, 0, 0), 0.4, GREY)), NO_PANES)).astype(int)
    # light comes from the upper left in front: 1 Å below, the shadow lies to the lower right
    right, down = 0.47 / 0.56, 0.68 / 0.56
    row, column = round(60 + 20 * down), round(60 + 20 * right)
    assert shaded[row, column, 0] < alone[row, column, 0] - 40
    row, column = round(60 - 20 * down), round(60 - 20 * right)
    assert shaded[row, column, 0] == pytest.approx(alone[row, column, 0], abs=12)


def test_the_foot_of_a_sphere_sees_less_of_the_sky():
    resting = Scene(sheet(0.0, half=2.9), spheres(((0, 0, 0.9), 0.9, GREY)), NO_PANES)
    image = view(resting).astype(int)[..., 0]
    # towards the key light, so outside the shadow: 1.0 and 2.6 Å from the point of contact
    foot, open_ = (image[round(60 - 20 * r * 0.82), round(60 - 20 * r * 0.57)] for r in (1.0, 2.6))
    assert foot < open_ - 8


# --- invariance


def test_turning_scene_and_camera_together_changes_nothing():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    scene = Scene(
        sheet(-0.5, tilt=0.3), spheres(((0, 0, 0), 0.7, RED), ((1, 1, 0.3), 0.5, GREEN)), Panes(
            rng.normal(size=(4, 3, 3)), rng.uniform(size=(4, 3)), 0.5
        )
    )  # fmt: skip
    turned = Scene(
        Triangles(
            scene.triangles.vertices @ turn,
            scene.triangles.normals @ turn,
            scene.triangles.faces,
            scene.triangles.colors,
        ),
        Spheres(scene.spheres.centers @ turn, scene.spheres.radii, scene.spheres.colors),
        Panes(scene.panes.corners @ turn, scene.panes.colors, 0.5),
    )
    difference = view(scene, distance=20.0).astype(int) - view(turned, axes=turn, distance=20.0)
    # float32 rounding moves single points across edges
    assert np.mean(np.abs(difference) > 3) < 0.01


def test_perspective_shows_near_things_larger():
    ball = [spheres(((0, 0, z), 0.5, RED)) for z in (2.0, -2.0)]
    near, far = (np.count_nonzero(drawn(view(Scene(NO_TRIANGLES, s, NO_PANES), distance=10.0))) for s in ball)
    # magnified by 1/(1 − z/10): 1.25 and 0.83, with the outline's pixel
    assert near == pytest.approx(np.pi * (12.5 + 1) ** 2, rel=0.06)
    assert far == pytest.approx(np.pi * (8.33 + 1) ** 2, rel=0.06)


def test_what_lies_off_the_axis_moves_outwards_as_it_nears():
    image = view(Scene(NO_TRIANGLES, spheres(((1.0, -0.8, 2.0), 0.3, RED)), NO_PANES), distance=10.0)
    rows, columns = np.nonzero(drawn(image))
    assert columns.mean() == pytest.approx(59.5 + 20 * 1.0 / 0.8, abs=0.4)
    assert rows.mean() == pytest.approx(59.5 + 20 * 0.8 / 0.8, abs=0.4)


def test_unprojection_inverts_projection():
    camera = Camera(np.eye(3), np.zeros(3), 10.0, (-3.0, -2.0), 20.0, SIZE, SIZE)
    points = np.random.default_rng(0).uniform(-2, 2, (50, 3))
    columns, rows, depth = camera.project(points).T
    assert camera.unproject(rows - 0.5, columns - 0.5, depth) == pytest.approx(points, abs=1e-5)


def test_framing_holds_the_whole_scene():
    scene = Scene(NO_TRIANGLES, spheres(((5, 2, 1), 1.0, RED), ((-3, 7, 2), 0.5, GREEN)), NO_PANES)
    camera = Camera.framing(scene, np.eye(3), np.array([1.0, 4.0, 1.5]), distance=40.0, width=200)
    image = render(scene, camera, map_size=64)
    assert image.shape[1] == 200
    border = np.ones(image.shape[:2], bool)
    border[2:-2, 2:-2] = False
    assert drawn(image).any()
    assert not drawn(image)[border].any()


def test_nothing_to_see_is_white():
    assert (view(Scene(NO_TRIANGLES, NO_SPHERES, Panes(np.zeros((1, 3, 3)), np.zeros((1, 3)), 0.5))) == 255).all()
