"""The dataset `faces`: cartoon faces drawn with Pillow, so that training needs no download.

    draw(index, size, seed) -> (picture, attributes)

Face `index` of `seed` is always the same face, however many are drawn, in whatever order and by how many processes:
every trait comes from a random generator of its own, started from [seed, index]. A face is a pile of flat polygons,
back to front, on a canvas several times too large, which one filter then brings down to size; so edges are smooth.

Units: a drawing coordinate is a fraction of the picture's short side; x to the right, y down, (0, 0) the middle of the
head. Colours are RGB triples of 0..255.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from ..sizes import sides
from .reader import Batch, Look, Task, code_version, span

DEFAULT_COUNT = 10_000

HANGING = ("bob", "long", "wavy")  # cuts that cover the ears
CUTS = ("bald", "buzz", "short", "quiff", "curly", "bun", "bob", "pigtails", "long", "wavy")

ATTRIBUTES: dict[str, tuple[str, str, tuple]] = {
    # name -> (meaning, NumPy type of one face's value, range or values)
    "skin_tone": ("skin, from the lightest to the darkest", "float32", (0.0, 1.0)),
    "hair_colour": ("RGB of the hair; of the eyebrows if bald", "uint8[3]", (0, 255)),
    "hair_length": ("how far the hair reaches: 0 bald, 0.5 the chin, 1 below the shoulders", "float32", (0.0, 1.0)),
    "hair_cut": ("name of the cut", "str", CUTS),
    "beard": ("has a beard", "bool", (False, True)),
    "glasses": ("wears glasses", "bool", (False, True)),
    "smile": ("mouth, from sad through straight to laughing", "float32", (-1.0, 1.0)),
    "eye_colour": ("RGB of the irises", "uint8[3]", (0, 255)),
    "background": ("RGB of the picture's upper corners", "uint8[3]", (0, 255)),
}

RGB = tuple[int, int, int]

SKIN = (
    (255, 226, 206),
    (247, 208, 180),
    (235, 186, 148),
    (214, 160, 116),
    (181, 124, 83),
    (141, 92, 61),
    (110, 72, 53),
)
HAIR_DARK = ((38, 33, 36), (58, 40, 34), (84, 54, 38))
HAIR_LIGHT = (
    (118, 72, 44),
    (152, 72, 42),
    (208, 112, 52),
    (172, 130, 78),
    (228, 190, 112),
    (242, 222, 176),
    (158, 158, 164),
    (226, 226, 230),
)
HAIR_PLAYFUL = ((238, 118, 168), (84, 132, 222), (54, 166, 160), (146, 100, 206), (214, 66, 76))
EYES = ((70, 44, 30), (104, 68, 40), (138, 108, 58), (78, 132, 84), (66, 118, 186), (108, 124, 140))
BACKGROUNDS = (
    (190, 220, 240),
    (200, 232, 214),
    (248, 222, 196),
    (240, 206, 214),
    (216, 208, 240),
    (246, 236, 190),
    (176, 214, 216),
    (228, 230, 234),
    (164, 186, 222),
    (232, 196, 176),
)
SHIRTS = (
    (214, 78, 74),
    (70, 118, 186),
    (64, 148, 112),
    (240, 176, 66),
    (126, 92, 168),
    (58, 66, 88),
    (236, 236, 236),
    (226, 128, 90),
    (92, 172, 190),
    (204, 100, 144),
)
FRAMES = ((44, 40, 48), (120, 66, 40), (176, 52, 58), (52, 84, 140))

OPEN = 0.25  # the smile at which lips part

WHITE, INK, BLUSH = (255, 255, 255), (48, 34, 38), (240, 104, 104)

LOOP = np.linspace(0, 2 * np.pi, 40, endpoint=False)
CIRCLE = np.stack([np.cos(LOOP), np.sin(LOOP)], axis=1)  # [40, 2]


@cache
def _span(low: float, high: float, n: int) -> np.ndarray:
    """np.linspace, computed once."""
    return np.linspace(low, high, n)


# ---------------------------------------------------------------------------------------------------------- traits


@dataclass
class Traits:
    """All that a drawing needs to know; what ATTRIBUTES names stands first."""

    skin_tone: float
    hair_colour: RGB
    hair_length: float
    hair_cut: str
    beard: bool
    glasses: bool
    smile: float
    eye_colour: RGB
    background: RGB

    fringe: str  # bangs, jagged, swept, centre or back
    side: int  # -1 or 1: where the parting and other one-sided things are
    head: tuple[float, float, float]  # half width, half height, how much the jaw narrows (0..1)
    tilt: float  # radians
    scale: float
    shift: tuple[float, float]
    eye: tuple[float, float, float]  # half distance, half width, half height
    gaze: tuple[float, float]
    lashes: bool
    brow: tuple[float, float]  # half thickness, slope
    nose: int  # 0 button, 1 long, 2 wide
    mouth: float  # half width
    lips: bool
    blush: float
    freckles: bool
    earrings: bool
    shirt: RGB
    neckline: int  # 0 crew, 1 V, 2 collar
    frame: RGB
    square_frame: bool
    volume: float  # how far the hair stands off the head, 0..1
    backdrop: int  # 0 gradient, 1 plain, 2 gradient with a disc


def traits(index: int, seed: int = 0) -> Traits:
    """Draw the traits of one face.

    Only uniform doubles are taken from the generator: their stream is what NumPy keeps the same between versions.
    """
    draws = np.random.default_rng([seed, index]).random(64).tolist()
    u = iter(draws).__next__

    def pick(options):
        return options[int(u() * len(options))]

    def between(low, high):
        return low + (high - low) * u()

    tone = u()
    hair = _hair_colour(tone, u(), u(), between(-10, 10))
    cut = CUTS[int(np.searchsorted((0.05, 0.12, 0.27, 0.37, 0.48, 0.57, 0.70, 0.76, 0.89), u(), side="right"))]
    low, high = {
        "bald": (0, 0),
        "buzz": (0.05, 0.1),
        "short": (0.15, 0.25),
        "quiff": (0.2, 0.3),
        "bun": (0.25, 0.35),
        "curly": (0.3, 0.5),
        "bob": (0.42, 0.58),
        "pigtails": (0.55, 0.7),
        "long": (0.65, 1),
        "wavy": (0.65, 1),
    }[cut]
    length = between(low, high)
    beard = u() < 0.22 and cut in ("bald", "buzz", "short", "quiff", "curly")
    fringe = pick(
        {
            "short": ("jagged", "swept", "swept", "back"),
            "quiff": ("back", "swept"),
            "bob": ("bangs", "bangs", "swept", "centre"),
            "pigtails": ("bangs", "centre", "swept"),
            "long": ("swept", "centre", "bangs"),
            "wavy": ("swept", "centre", "bangs"),
        }.get(cut, ("back",))
    )
    flowing = cut in ("bun", "bob", "pigtails", "long", "wavy")
    jaw = between(0.02, 0.20) if not beard else between(0.02, 0.10)
    return Traits(
        skin_tone=tone,
        hair_colour=hair,
        hair_length=length,
        hair_cut=cut,
        beard=beard,
        glasses=u() < 0.28,
        smile=2 * u() ** 0.65 - 1,
        eye_colour=pick(EYES[:2] if tone > 0.6 and u() < 0.8 else EYES),
        background=pick(BACKGROUNDS),
        fringe=fringe,
        side=1 if u() < 0.5 else -1,
        head=(between(0.262, 0.298), between(0.318, 0.345), jaw),
        tilt=between(-0.09, 0.09),
        scale=between(1.0, 1.06),
        shift=(between(-0.015, 0.015), between(-0.012, 0.012)),
        eye=(between(0.108, 0.124), between(0.050, 0.060), between(0.044, 0.058)),
        gaze=(between(-0.010, 0.010), between(-0.005, 0.007)),
        lashes=u() < (0.75 if flowing else 0.1) and not beard,
        brow=(between(0.009, 0.015), between(-0.006, 0.014)),
        nose=int(u() * 3),
        mouth=between(0.078, 0.102),
        lips=u() < (0.5 if flowing else 0.05) and not beard,
        blush=between(0.10, 0.38) * (1 - 0.4 * tone),
        freckles=u() < (0.2 if tone < 0.5 else 0),
        earrings=u() < (0.35 if flowing else 0.03),
        shirt=pick(SHIRTS),
        neckline=int(u() * 3),
        frame=pick(FRAMES),
        square_frame=u() < 0.5,
        volume=u(),
        backdrop=min(int(u() * 4), 2),
    )


def _hair_colour(tone: float, kind: float, which: float, jitter: float) -> RGB:
    """Mostly natural colours, the darker ones more often with darker skin; about one face in eight is playful."""
    if kind < 0.12:
        palette = HAIR_PLAYFUL
    elif kind < 0.12 + 0.88 * (0.3 + 0.55 * tone):
        palette = HAIR_DARK if tone < 0.65 else HAIR_DARK[:2]  # hair must stand out from the skin
    else:
        palette = HAIR_LIGHT
    base = palette[int(which * len(palette))]
    return tuple(min(255, max(0, int(v + jitter))) for v in base)


def attributes(index: int, seed: int = 0) -> dict:
    """The attributes of one face without drawing it: name -> value, of the types that ATTRIBUTES gives."""
    return _attributes(traits(index, seed))


def _attributes(face: Traits) -> dict:
    values = {}
    for name, (_, kind, _) in ATTRIBUTES.items():
        value = getattr(face, name)
        values[name] = np.array(value, np.uint8) if kind == "uint8[3]" else np.dtype(kind).type(value)
    return values


# --------------------------------------------------------------------------------------------------------- geometry


def _mix(a: RGB, b: RGB, share: float) -> RGB:
    """(1 - share) a + share b"""
    return tuple(int(p + (q - p) * share + 0.5) for p, q in zip(a, b, strict=True))


def _skin(tone: float) -> RGB:
    place = tone * (len(SKIN) - 1)
    step = min(int(place), len(SKIN) - 2)
    return _mix(SKIN[step], SKIN[step + 1], place - step)


def _ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    return CIRCLE * (rx, ry) + (x, y)


def _stroke(points: np.ndarray, half: float, taper: float = 0.0) -> np.ndarray:
    """The outline of a thick line through `points` [n, 2], thinner by `taper` (0..1) towards both ends."""
    step = points[1:] - points[:-1]
    along = np.concatenate([step[:1], step[1:] + step[:-1], step[-1:]])
    width = half * (1 - taper * _span(-1, 1, len(points)) ** 2) / np.hypot(along[:, 0], along[:, 1])
    offset = along[:, ::-1] * (-1, 1) * width[:, None]
    return np.concatenate([points + offset, (points - offset)[::-1]])


def _points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[n], [n] -> [n, 2]"""
    points = np.empty((len(x), 2))
    points[:, 0], points[:, 1] = x, y
    return points


def _bow(x0: float, x1: float, y: float, rise: float) -> np.ndarray:
    """Seventeen points on a parabola from (x0, y) to (x1, y) whose middle is `rise` lower (y grows downwards)."""
    t = _span(0, 1, 17)
    return _points(x0 + (x1 - x0) * t, y + rise * 4 * t * (1 - t))


def _squarish(x: np.ndarray, power: float) -> np.ndarray:
    """sign(x) |x|^power: with a power below 1 it makes a circle's cosine bulge towards a square's."""
    return np.copysign(np.abs(x) ** power, x)


class Sketch:
    """A picture to paint polygons on, in the units of this module."""

    NECK = np.array([0.0, 0.25])  # heads tilt about it

    def __init__(self, canvas: Image.Image, face: Traits):
        self.brush = ImageDraw.Draw(canvas)
        width, height = canvas.size
        self.side, self.face = min(width, height), face
        down = max((height - self.side) / 2, height - 1.5 * self.side)  # the shirt ends 1.5 sides below
        self.corner = np.array([(width - self.side) / 2, down])  # of the square that the face is painted in
        self.tilt(0.0)

    def tilt(self, angle: float) -> None:
        """Turn all that is painted from here on by so many radians."""
        c, s = np.cos(angle), np.sin(angle)
        zoom = self.side * self.face.scale
        middle = np.array([0.5 + self.face.shift[0], 0.49 + self.face.shift[1]]) * self.side
        self.matrix = np.array([[c, s], [-s, c]]) * zoom
        self.offset = self.corner + middle + self.NECK * zoom - self.NECK @ self.matrix

    def fill(self, points: np.ndarray, colour: RGB) -> None:
        pixels = points @ self.matrix + self.offset
        self.brush.polygon(pixels.astype(np.float32), colour)  # Pillow reads a buffer of float32 as it is

    def pair(self, points: np.ndarray, colour: RGB) -> None:
        """The polygon and its mirror image."""
        self.fill(points, colour)
        self.fill(points * (-1, 1), colour)


def _head(face: Traits) -> np.ndarray:
    """The outline of the head; the jaw narrows below the ears. [40, 2]"""
    half_w, half_h, jaw = face.head
    x, y = CIRCLE[:, 0], CIRCLE[:, 1]
    return _points(half_w * _squarish(x, 0.9) * (1 - jaw * np.maximum(y, 0)), half_h * y)


# ------------------------------------------------------------------------------------------------------------- hair


def _reach(face: Traits) -> float:
    """The y that hair of this length comes down to: 0.5 is the chin, 1 the lower edge of the picture."""
    return -0.30 + 1.2 * face.hair_length if face.hair_length < 0.5 else 0.30 + 0.56 * (face.hair_length - 0.5)


def _hairline(face: Traits, temple: float) -> np.ndarray:
    """Where forehead and hair meet, from the right temple to the left one. [33, 2]"""
    half_w, half_h, _ = face.head
    t = _span(1, -1, 33)
    if face.fringe == "bangs":
        y = -0.42 * half_h + 0.03 * t**2 + (temple + 0.42 * half_h) * np.abs(t) ** 7
    elif face.fringe == "jagged":
        teeth = np.abs((t * 3.5 + 0.25 * face.side) % 1 - 0.5) * 2
        y = -0.54 * half_h + 0.16 * half_h * teeth + (temple + 0.40 * half_h) * np.abs(t) ** 8
    elif face.fringe in ("swept", "centre"):
        part = 0.42 * face.side if face.fringe == "swept" else 0.0
        away = np.where(t > part, (t - part) / (1 - part), (part - t) / (1 + part))
        y = -0.80 * half_h + (temple + 0.80 * half_h) * away**1.7
    else:
        y = -0.62 * half_h - 0.04 * (1 - t**2) + (temple + 0.62 * half_h) * t**4
    return _points(t * half_w * 0.97, y)


def _cap(face: Traits, puff: float, lift: float, temple: float) -> tuple[np.ndarray, np.ndarray]:
    """(hair on top of the head, its hairline): `puff` off the skull at the sides, `lift` more on top."""
    half_w, half_h, _ = face.head
    start = np.arcsin(temple / (half_h + puff))
    angle = np.linspace(np.pi - start, 2 * np.pi + start, 33)
    c, s = np.cos(angle), np.sin(angle)
    outer = _points((half_w + puff) * _squarish(c, 0.9), (half_h + puff + lift * np.maximum(-s, 0) ** 2) * s)
    line = _hairline(face, temple)
    return np.concatenate([outer, line]), line


def _curtain(face: Traits, puff: float, bottom: float, flare: float, waves: float) -> np.ndarray:
    """The hair behind the head: over the top as wide as a cap, then down both sides to `bottom`."""
    half_w, half_h, _ = face.head
    angle = _span(np.pi, 2 * np.pi, 21)
    top = _points((half_w + puff) * np.cos(angle), (half_h + puff) * np.sin(angle))
    t = _span(0.04, 1, 20)
    x = half_w + puff + flare * t + waves * np.sin(t * 4.5 * np.pi)
    right = _points(x * (1 - 0.30 * (np.maximum(0, t - 0.75) / 0.25) ** 2), bottom * t)
    return np.concatenate([top, right, right[::-1] * (-1, 1)])


def _hair_behind(sketch: Sketch, face: Traits) -> None:
    half_w, half_h, _ = face.head
    shade = _mix(face.hair_colour, INK, 0.22)
    puff = 0.040 + 0.02 * face.volume
    if face.hair_cut == "bob":
        sketch.fill(_curtain(face, puff, _reach(face), 0.03, 0), shade)
    elif face.hair_cut in ("long", "wavy"):
        waves = 0.017 if face.hair_cut == "wavy" else 0
        sketch.fill(_curtain(face, puff, _reach(face), 0.03 + 0.04 * face.volume, waves), shade)
    elif face.hair_cut == "curly":
        radius = 0.075 + 0.05 * face.hair_length + 0.02 * face.volume
        sketch.fill(_ellipse(0, -0.10, half_w + 0.03, half_h * 0.8), shade)
        for angle in _span(-0.15, np.pi + 0.15, 11):
            x, y = (half_w + 0.01) * np.cos(angle), -0.02 - half_h * np.sin(angle)
            sketch.fill(_ellipse(x, y, radius, radius), face.hair_colour)
    elif face.hair_cut == "bun":
        size, y = 0.088 + 0.02 * face.volume, -half_h - 0.05
        sketch.fill(_ellipse(0, y, size, size * 0.85), face.hair_colour)
        sketch.fill(_stroke(_bow(-size * 0.6, size * 0.6, y, -size * 0.5), 0.007, 1), shade)
    elif face.hair_cut == "pigtails":
        _pigtails(sketch, face)


def _pigtails(sketch: Sketch, face: Traits) -> None:
    """Two bunches, each the shape of a leaf that hangs from a tie beside the head."""
    x, y, drop = face.head[0] + 0.045, -0.06, _reach(face) + 0.06
    t = _span(0, 1, 14)
    wide = (0.052 + 0.022 * face.volume) * np.sin(np.pi * t**0.7) + 0.012
    spine = x + 0.065 * np.sin(t * 1.9)
    leaf = np.concatenate([_points(spine + wide, y + drop * t), _points(spine - wide, y + drop * t)[::-1]])
    sketch.pair(leaf, face.hair_colour)
    sketch.pair(_ellipse(x, y, 0.036, 0.036), _mix(face.shirt, WHITE, 0.1))


def _hair_front(sketch: Sketch, face: Traits) -> None:
    cut, hair = face.hair_cut, face.hair_colour
    if cut == "bald":
        return
    half_w, half_h, _ = face.head
    skin = _skin(face.skin_tone)
    if cut == "buzz":
        sketch.fill(_cap(face, 0.006, 0, -0.02)[0], _mix(hair, skin, 0.25))
        return
    puff = 0.018 if cut in ("bun", "pigtails") else 0.022 + 0.02 * face.volume
    lift = {"quiff": 0.03 + 0.03 * face.volume, "short": 0.012, "curly": 0.03}.get(cut, 0)
    hanging = cut in HANGING
    cap, line = _cap(face, puff, lift, 0.05 if hanging else 0.0)
    x, y = line[2:-2].T
    shadow = np.concatenate([_points(x, y + 0.016), _points(x, y - 0.03)[::-1]])
    sketch.fill(shadow, _mix(skin, INK, 0.16))
    if hanging:
        _side_locks(sketch, face, puff)
    sketch.fill(cap, hair)
    if cut == "quiff":  # a crest that rises towards one side and falls over it
        t = _span(0, 1, 15)
        x, base = (-0.25 + 0.51 * t) * face.side, -0.66 * half_h
        crest = _points(x, base - (0.16 + 0.10 * face.volume) * np.sin(np.pi * t**1.4) ** 0.6)
        sketch.fill(np.concatenate([crest, _points(x, base - 0.06 * np.sin(np.pi * t))[::-1]]), hair)
    if cut == "curly":
        for t in _span(-1, 1, 7):
            sketch.fill(_ellipse(t * half_w * 0.92, -0.74 * half_h + 0.10 * t * t, 0.062, 0.062), hair)
    else:
        arc = _span(1.28 * np.pi, 1.62 * np.pi, 9)
        shine = _points(np.cos(arc) * half_w * -0.86 * face.side, np.sin(arc) * (half_h + lift) * 0.93)
        sketch.fill(_stroke(shine, 0.014, 1), _mix(hair, WHITE, 0.22))


def _side_locks(sketch: Sketch, face: Traits, puff: float) -> None:
    """Hair that hangs where the ears would be."""
    half_w, half_h, jaw = face.head
    bottom = min(_reach(face), 0.42) - 0.02
    t = _span(0, 1, 14)
    y = -0.45 * half_h + (bottom + 0.45 * half_h) * t
    wave = 0.012 * np.sin(t * 3.5 * np.pi) if face.hair_cut == "wavy" else 0 * t
    outer = half_w + puff + 0.02 * t + wave
    outer[0] -= 0.03
    inner = half_w * (0.90 - 0.30 * jaw * t) + wave * 0.7
    inner[-1] = outer[-1] - 0.02
    sketch.pair(np.concatenate([_points(outer, y), _points(inner, y)[::-1]]), face.hair_colour)


# --------------------------------------------------------------------------------------------------- face and body


def _backdrop(face: Traits, height: int, width: int) -> Image.Image:
    """The background: the attribute's colour along the top, as it is or growing lighter towards the bottom."""
    low = face.background if face.backdrop == 1 else _mix(face.background, WHITE, 0.45)
    share = _span(0, 1, height)[:, None] ** 1.5
    column = np.array(face.background) * (1 - share) + np.array(low) * share
    column = Image.fromarray((column + 0.5).astype(np.uint8)[:, None, :])
    return column.resize((width, height), Image.Resampling.NEAREST)


def _body(sketch: Sketch, face: Traits) -> None:
    skin = _skin(face.skin_tone)
    shade = _mix(skin, INK, 0.20)
    sketch.fill(
        np.array([[-0.105, 0.12], [0.105, 0.12], [0.105, 0.40], [0.16, 0.60], [-0.16, 0.60], [-0.105, 0.40]]), shade
    )
    x, y = CIRCLE[:, 0], CIRCLE[:, 1]
    sketch.fill(_points(0.46 * _squarish(x, 0.75), 0.80 + 0.40 * _squarish(y, 0.75)), face.shirt)
    dark = _mix(face.shirt, INK, 0.25)
    if face.neckline == 0:
        sketch.fill(_ellipse(0, 0.395, 0.152, 0.078), dark)
        sketch.fill(_ellipse(0, 0.385, 0.128, 0.066), shade)
    elif face.neckline == 1:
        sketch.fill(np.array([[-0.155, 0.38], [0.155, 0.38], [0.02, 0.54], [-0.02, 0.54]]), dark)
        sketch.fill(np.array([[-0.128, 0.37], [0.128, 0.37], [0, 0.515]]), shade)
    else:
        sketch.fill(np.array([[-0.11, 0.38], [0.11, 0.38], [0, 0.47]]), shade)
        sketch.pair(
            np.array([[0.10, 0.365], [0.155, 0.40], [0.12, 0.50], [0.005, 0.455]]), _mix(face.shirt, WHITE, 0.55)
        )


def _head_and_ears(sketch: Sketch, face: Traits) -> None:
    half_w = face.head[0]
    skin = _skin(face.skin_tone)
    if face.hair_cut not in HANGING:
        sketch.pair(_ellipse(half_w + 0.005, 0.035, 0.050, 0.068), skin)
        sketch.pair(_ellipse(half_w + 0.012, 0.035, 0.028, 0.042), _mix(skin, INK, 0.14))
    if face.earrings:
        sketch.pair(_ellipse(half_w + 0.018, 0.115, 0.019, 0.022), (240, 200, 90))
    sketch.fill(_head(face), skin)
    cheek = _mix(skin, BLUSH, face.blush)
    sketch.pair(_ellipse(half_w * 0.62, 0.105, 0.062, 0.046), _mix(skin, cheek, 0.5))
    sketch.pair(_ellipse(half_w * 0.62, 0.105, 0.044, 0.032), cheek)
    if face.freckles:
        for x, y in ((0.105, 0.085), (0.14, 0.10), (0.175, 0.082), (0.125, 0.118)):
            sketch.pair(_ellipse(x, y, 0.008, 0.008), _mix(skin, (150, 80, 50), 0.5))


def _beard(sketch: Sketch, face: Traits) -> None:
    half_w, half_h, jaw = face.head
    angle = _span(0.02 * np.pi, 0.98 * np.pi, 25)
    c, s = np.cos(angle), np.sin(angle)
    jawline = _points((half_w + 0.004) * _squarish(c, 0.9) * (1 - jaw * s), (half_h + 0.012) * s)
    t = _span(-1, 1, 25)
    upper = _points(t * half_w * 0.93, 0.115 - 0.09 * np.abs(t) ** 5 + 0.012 * np.cos(t * 3 * np.pi))
    sketch.fill(np.concatenate([jawline, upper]), _mix(face.hair_colour, _skin(face.skin_tone), 0.18))


def _glasses(sketch: Sketch, face: Traits) -> None:
    """Frames and lenses, painted before the eyes: a lens is a lighter patch of skin, so nothing need be transparent."""
    half_w = face.head[0]
    gap = face.eye[0]
    lens = _mix(_skin(face.skin_tone), WHITE, 0.32)
    for size, colour in ((0.0, face.frame), (-0.017, lens)):
        if face.square_frame:
            sketch.pair(_squarish(CIRCLE, 0.5) * (0.099 + size, 0.080 + size) + (gap, -0.002), colour)
        else:
            sketch.pair(_ellipse(gap, -0.002, 0.097 + size, 0.092 + size), colour)
    sketch.fill(_stroke(_bow(-gap + 0.088, gap - 0.088, -0.012, -0.012), 0.010), face.frame)
    sketch.pair(_stroke(np.array([[gap + 0.09, -0.02], [half_w + 0.01, -0.03]]), 0.009), face.frame)


def _eyes(sketch: Sketch, face: Traits) -> None:
    gap, wide, tall = face.eye
    dx, dy = face.gaze
    sketch.pair(_ellipse(gap, -0.004, wide + 0.006, tall + 0.006), _mix(_skin(face.skin_tone), INK, 0.35))
    sketch.pair(_ellipse(gap, 0, wide, tall), (252, 252, 250))
    for side in (-1, 1):
        x, y = side * gap + dx, 0.002 + dy
        sketch.fill(_ellipse(x, y, 0.035, 0.037), face.eye_colour)
        sketch.fill(_ellipse(x, y, 0.019, 0.020), (22, 18, 22))
        sketch.fill(_ellipse(x - 0.012, y - 0.014, 0.011, 0.011), WHITE)
    if face.lashes:
        sketch.pair(_stroke(_bow(gap - wide, gap + wide + 0.014, -0.022, -tall + 0.012), 0.011, 0.5), INK)
    half, slope = face.brow
    colour = _mix(face.hair_colour, INK, 0.35)
    brow = _bow(gap - 0.058, gap + 0.062, -tall - 0.052, -0.022)
    brow[:, 1] += (slope - 0.012 * min(face.smile, 0)) * _span(-1, 1, len(brow))
    sketch.pair(_stroke(brow, half, 0.6), colour)


def _nose(sketch: Sketch, face: Traits) -> None:
    skin = _skin(face.skin_tone)
    shade = _mix(skin, _mix(INK, BLUSH, 0.4), 0.30)
    if face.nose == 0:
        sketch.fill(_ellipse(0, 0.072, 0.030, 0.024), shade)
        sketch.fill(_ellipse(0, 0.063, 0.026, 0.020), _mix(skin, WHITE, 0.10))
    elif face.nose == 1:
        side = face.side
        bridge = np.array([[0, -0.01], [0.012, 0.03], [0.032, 0.075], [0.018, 0.088], [-0.02, 0.085]]) * (side, 1)
        sketch.fill(_stroke(bridge, 0.009, 0.4), shade)
    else:
        sketch.fill(_stroke(_bow(-0.042, 0.042, 0.066, 0.024), 0.011, 0.6), shade)


def _mouth(sketch: Sketch, face: Traits) -> None:
    """A line that bends with the smile; from a smile of OPEN on it opens, and shows teeth."""
    smile, skin = face.smile, _skin(face.skin_tone)
    half = face.mouth * (1 + 0.18 * smile)
    bend = 0.062 * smile
    corner = 0.178 - bend * 0.5
    lip = _mix(skin, (176, 46, 60), 0.70)
    if face.lips:
        lip = _mix(lip, (206, 34, 66), 0.6)
    if smile <= OPEN:
        sketch.fill(_stroke(_bow(-half, half, corner, bend), 0.019 if face.lips else 0.016, 0.55), lip)
        sketch.fill(
            _stroke(_bow(-half * 0.4, half * 0.4, corner + bend + 0.042, -0.006), 0.006, 1), _mix(skin, INK, 0.2)
        )
        return
    depth = bend + 0.030 + 0.070 * (smile - OPEN)
    edge = half + 0.012
    rim = np.concatenate(
        [_bow(-edge, edge, corner - 0.010, bend * 0.45), _bow(edge, -edge, corner + 0.006, depth + 0.010)]
    )
    sketch.fill(rim, lip)
    inside = np.concatenate([_bow(-half, half, corner, bend * 0.45), _bow(half, -half, corner, depth)])
    sketch.fill(inside, (122, 30, 44))
    upper, lower, row = half * 0.86, half * 0.81, corner + 0.018 + 0.018 * smile
    teeth = np.concatenate([_bow(-upper, upper, corner + 0.006, bend * 0.45), _bow(lower, -lower, row, bend * 0.45)])
    sketch.fill(teeth, (252, 250, 246))


def draw(index: int, size, seed: int = 0) -> tuple[Image.Image, dict]:
    """Face `index` of `seed`, RGB, and its attributes (see ATTRIBUTES).   size: as paint's."""
    face = traits(index, seed)
    return paint(face, size), _attributes(face)


def paint(face: Traits, size) -> Image.Image:
    """The picture of a face with these traits, RGB.   size: px of a square's side, or (height, width)."""
    height, width = sides(size)
    zoom = 8 if min(height, width) <= 32 else 4
    canvas = _backdrop(face, height * zoom, width * zoom)
    sketch = Sketch(canvas, face)
    if face.backdrop == 2:
        sketch.fill(_ellipse(0, 0, 0.46, 0.46), _mix(face.background, WHITE, 0.6))
    sketch.tilt(face.tilt)
    _hair_behind(sketch, face)
    sketch.tilt(0.0)
    _body(sketch, face)
    sketch.tilt(face.tilt)
    _head_and_ears(sketch, face)
    if face.beard:
        _beard(sketch, face)
    if face.glasses:
        _glasses(sketch, face)
    _eyes(sketch, face)
    _nose(sketch, face)
    _mouth(sketch, face)
    _hair_front(sketch, face)
    return canvas.resize((width, height), Image.Resampling.HAMMING, reducing_gap=4.0)


# ---------------------------------------------------------------------------------------------------------- reader


class Faces:
    """The reader of `faces`: `count` faces of one seed."""

    format = source = "faces"
    classes, skipped, damage = (), [], ""

    def __init__(self, look: Look, seed: int, count: int):
        self.look, self.seed, self.count, self.total = look, seed, count, count

    def key(self) -> dict:
        return {"reader": "faces", "code": code_version(__file__), "seed": self.seed}

    def tasks(self, start: int) -> Iterator[Task]:
        for first, stop in span(start, self.total):
            yield Task(stop, draw_range, (first, stop, self.look, self.seed))


def draw_range(start: int, stop: int, look: Look, seed: int) -> Batch:
    """Faces start to stop - 1. A worker process runs this, so it takes and returns only what can be pickled."""
    images = np.empty((stop - start, *look.shape), np.uint8)
    values: dict[str, list] = {name: [] for name in ATTRIBUTES}
    for row, index in enumerate(range(start, stop)):
        picture, known = draw(index, look.size, seed)
        images[row] = np.asarray(picture.convert("L") if look.channels == 1 else picture).reshape(look.shape)
        for name, value in known.items():
            values[name].append(value)
    return Batch(images, {name: np.array(column) for name, column in values.items()})
