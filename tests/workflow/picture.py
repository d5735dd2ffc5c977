"""The picture of a report in README.md and docs: the top of the page in Chromium, in a palette of few colours.

Run: python tests/workflow/picture.py results/microcircuit/report.html docs/report.png
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from browser import browser

WIDTH, HEIGHT, COLOURS = 1280, 1268, 128  # px, px


def picture(report: Path, output: Path) -> None:
    """Write the top of a report as PNG."""
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
        page.open(report, WIDTH)
        page.painted()
        shown = Image.open(io.BytesIO(base64.b64decode(page.screenshot()))).convert("RGB")
    shown = shown.crop((0, 0, WIDTH, HEIGHT)).quantize(COLOURS, dither=Image.Dither.NONE)
    shown.save(output, optimize=True)


if __name__ == "__main__":
    picture(*map(Path, sys.argv[1:3]))
