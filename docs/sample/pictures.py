"""Take the pictures of the sample report that README shows, in both themes.

    python docs/sample/pictures.py

writes ../images/report-light.png and report-dark.png, as a screen of 1280 x 760 shows the head of the page. Needs
playwright (extra dev), Debian's chromium, and pillow, by which a picture has 256 colours and a third of the bytes.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

HERE: Final = Path(__file__).parent
IMAGES: Final = HERE.parent / "images"
SIZE: Final = {"width": 1280, "height": 760}
LARGEST: Final = 120_000


def main() -> int:
    """Take both pictures."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for theme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")
            page.goto((HERE / "sample-report.html").as_uri())
            page.locator("#table").wait_for()
            target = IMAGES / f"report-{theme}.png"
            target.write_bytes(_small(page.screenshot()))
            size = target.stat().st_size
            print(f"{target.name}: {size:,} bytes")
            if size > LARGEST:
                raise SystemExit(f"{target.name} has more than {LARGEST:,} bytes")
        browser.close()
    return 0


def _small(png: bytes) -> bytes:
    """Return the picture with the 256 colours that suit it best."""
    found = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(found, "PNG", optimize=True)
    return found.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
