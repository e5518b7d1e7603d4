"""A picture of a page of export --page, wide and on a phone, for docs/runs.md. Needs Chromium.

python -m bench.shot OUT.webp PAGE.html [--at "a=3&b=8&t=300&layer=8"] [--scroll 1150]
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from dcgan_cupy.command import Parser, number, run
from dcgan_cupy.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE, GAP = (1120, 844), (390, 844), 12  # px
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{w}px;height:{h}px" src="{page}"></iframe><script>
const frame = document.querySelector("iframe");
setInterval(() => frame.contentWindow.scrollTo(0, {scroll}), 50);
</script>"""


def shot(page: str, size: tuple[int, int], scroll: int, dark: bool) -> Image.Image:
    """The page at this size, scrolled down so many px.   Raises: UserError without a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(f"bench.shot: need one of {', '.join(BROWSERS)}, got none")
    with tempfile.TemporaryDirectory() as folder:
        frame, out = Path(folder) / "frame.html", Path(folder) / "out.png"
        frame.write_text(FRAME.format(w=size[0], h=size[1], page=page, scroll=scroll), encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
        flags += [f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}", f"--screenshot={out}"]
        flags += ["--timeout=8000", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        subprocess.run([browser, *flags, frame.as_uri()], capture_output=True, timeout=120, check=True)
        return Image.open(out).convert("RGB").crop((0, 0, *size))


def work(arguments: list[str]) -> None:
    """Writes the picture."""
    parser = Parser("bench.shot", "a page, wide and on a phone", prog="python -m bench.shot")
    parser.add_argument("out", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--at", default="", help="the place in the page, as its address keeps it")
    parser.add_argument("--scroll", type=number(int, 0), default=0, help="px that the phone has scrolled down")
    given = parser.parse_args(arguments)
    page = f"{given.page.resolve().as_uri()}#{given.at}"
    sheet = Image.new("RGB", (WIDE[0] + GAP + PHONE[0], WIDE[1]), "#808080")
    sheet.paste(shot(page, WIDE, 0, False), (0, 0))
    sheet.paste(shot(page, PHONE, given.scroll, True), (WIDE[0] + GAP, 0))
    sheet.save(given.out, quality=82)


if __name__ == "__main__":
    raise SystemExit(run("bench.shot", work))
