"""A picture of the course: 400 units wide, so that its letters can be read on a phone; light and dark by the viewer's
own colours.

Classes of shapes: g grey, a blue, b orange, c green, d violet, r red, n nothing but an outline; of lines: l, la, lb,
lc, ld, lr; of text: none, m muted.
"""

from xml.sax.saxutils import escape

WIDTH = 400
LIGHT = {
    "g": ("#eff2f5", "#818b98"),
    "a": ("#b6dcff", "#0969da"),
    "b": ("#ffd8b0", "#bc4c00"),
    "c": ("#b4efc0", "#1a7f37"),
    "d": ("#e4d0ff", "#8250df"),
    "r": ("#ffc9c4", "#cf222e"),
}
DARK = {
    "g": ("#21262d", "#6e7681"),
    "a": ("#12386b", "#58a6ff"),
    "b": ("#5a2f0a", "#f0883e"),
    "c": ("#12452a", "#3fb950"),
    "d": ("#3f2a6b", "#bc8cff"),
    "r": ("#67211f", "#ff7b72"),
}


def _rules(colours: dict, text: str, muted: str) -> str:
    shapes = "".join(f".{k}{{fill:{fill};stroke:{line}}}.l{k}{{stroke:{line}}}" for k, (fill, line) in colours.items())
    return f"svg{{color:{text}}}.m{{fill:{muted}}}.l,.n{{stroke:{muted}}}{shapes}"


STYLE = (
    "svg{font:11px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}text{fill:currentColor}"
    ".n,.l,.la,.lb,.lc,.ld,.lr,.lg{fill:none}"
    + _rules(LIGHT, "#1f2328", "#59636e")
    + "@media(prefers-color-scheme:dark){"
    + _rules(DARK, "#f0f6fc", "#9198a1")
    + "}"
)


def number(v: float) -> str:
    """Short, and the same on every machine."""
    return f"{v:.1f}".removesuffix(".0")


class Picture:
    """Shapes added one by one; str() is the file."""

    def __init__(self, height: float, title: str):
        self.height, self.title, self.parts = height, title, []

    def rect(self, x, y, w, h, kind="g", width=1.0):
        self.parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}" class="{kind}"'
            + (f' stroke-width="{number(width)}"' if width != 1 else "")
            + "/>"
        )

    def text(self, x, y, words, kind="", anchor="start", size=11.0):
        style = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        style += f' font-size="{number(size)}"' if size != 11 else ""
        self.parts.append(f'<text x="{number(x)}" y="{number(y)}"{style}>{escape(str(words))}</text>')

    def cell(self, x, y, w, h, kind, words="", size=9.0, text_kind=""):
        """A box with a word in its middle."""
        self.rect(x, y, w, h, kind, 0.7)
        if words != "":
            self.text(x + w / 2, y + h / 2 + size * 0.36, words, text_kind, "middle", size)

    def grid(self, x, y, values, size, kind, letters=9.0):
        """A matrix of cells. kind: a class, or a function of (row, column)."""
        for r, row in enumerate(values):
            for c, v in enumerate(row):
                cls = kind(r, c) if callable(kind) else kind
                self.cell(x + c * size, y + r * size, size, size, cls, v, letters)

    def line(self, x1, y1, x2, y2, kind="l", width=1.0, dash=""):
        more = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" class="{kind}"'
            f' stroke-width="{number(width)}"{more}/>'
        )

    def arrow(self, x1, y1, x2, y2, kind="l", width=1.0):
        """A line with a head."""
        self.line(x1, y1, x2, y2, kind, width)
        dx, dy = x2 - x1, y2 - y1
        n = (dx * dx + dy * dy) ** 0.5 or 1.0
        dx, dy = 4 * dx / n, 4 * dy / n
        points = [(x2 - dx - dy * 0.7, y2 - dy + dx * 0.7), (x2, y2), (x2 - dx + dy * 0.7, y2 - dy - dx * 0.7)]
        self.curve(points, kind, width)

    def curve(self, points, kind="la", width=1.5):
        steps = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.parts.append(f'<polyline points="{steps}" class="{kind}" stroke-width="{number(width)}"/>')

    def axes(self, x, y, w, h, across, up, kind="l"):
        """A frame with ticks; across, up: (label, share of the length from the origin) pairs."""
        self.line(x, y + h, x + w, y + h, kind)
        self.line(x, y, x, y + h, kind)
        for label, share in across:
            self.line(x + share * w, y + h, x + share * w, y + h + 3, kind)
            self.text(x + share * w, y + h + 13, label, "m", "middle", 9)
        for label, share in up:
            self.line(x - 3, y + h - share * h, x, y + h - share * h, kind)
            self.text(x - 5, y + h - share * h + 3, label, "m", "end", 9)

    def __str__(self):
        size = f'width="{WIDTH * 8 // 5}" height="{number(self.height * 8 / 5)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {number(self.height)}" {size} role="img">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style>\n" + "\n".join(self.parts) + "\n</svg>\n"
        )
