"""The studio in a real browser: Chromium, driven by Playwright."""

import shutil

import numpy as np
import pytest

from tests.studio.conftest import png
from tests.studio.debias import played
from tests.studio.test_views import dressing, edited, mixing, model, styleclip
from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.tools import Tool
from vision_gen.ops import gamut

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    if CHROMIUM is None:
        pytest.skip("the browser test needs chromium")
    with driver.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser, address, run):
    """(a page at a run, what it asked of other servers)."""
    page, outside = browser.new_page(viewport={"width": 1400, "height": 1400}), []
    own = (address, "data:", "blob:")
    page.on("request", lambda request: outside.append(request.url) if not request.url.startswith(own) else None)
    page.goto(f"{address}?run={run}")
    return page, outside


def test_a_visitor_draws_uploads_and_is_told(address, browser):
    page, outside = opened(browser, address, "zoo/acgan_digits")
    image = page.locator("figure img").first
    image.wait_for(timeout=60_000)
    first = image.get_attribute("src")
    other, _ = opened(browser, address, "zoo/acgan_digits")
    other.locator("figure img").first.wait_for(timeout=60_000)
    page.get_by_label("Seed").fill("5")
    page.get_by_label("Seed").press("Enter")
    changed(page, first)
    assert other.locator("figure img").first.get_attribute("src") == first, "the other visitor's picture"

    page.get_by_role("button", name="Paint", exact=True).press("Enter")  # By the keyboard.
    upload = page.locator("input[type=file]:visible")
    upload.set_input_files([{"name": "words.png", "mimeType": "image/png", "buffer": b"these are words"}])
    page.get_by_text("words.png: not a readable image").first.wait_for()
    huge = png("huge.png", 1, (10_000, 10_000), "1")
    upload.set_input_files([{"name": huge.name, "mimeType": "image/png", "buffer": huge.data}])
    page.get_by_text("100 megapixels").first.wait_for()
    good = png("good.png", "#336699", (64, 48))
    upload.set_input_files([{"name": good.name, "mimeType": "image/png", "buffer": good.data}])
    page.get_by_text("Save image.png").and_(page.locator(":visible")).wait_for()
    result = page.locator("figure img:visible").last
    before = result.get_attribute("src")
    box = page.locator(".bk-Canvas:visible").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 120, steps=12)
    page.mouse.up()
    changed(page, before)
    page.get_by_role("button", name="Undo").and_(page.locator(":visible")).click()
    for _ in range(100):
        if result.get_attribute("src") == before:
            break
        page.wait_for_timeout(100)
    assert result.get_attribute("src") == before

    broken, _ = opened(browser, address, "zoo/vit_digits")
    broken.get_by_text("ZeroDivisionError").wait_for(timeout=60_000)
    unknown, _ = opened(browser, address, "/etc/passwd")
    unknown.get_by_text("there is no run '/etc/passwd' here").wait_for(timeout=60_000)
    assert not outside


def test_layers_are_mixed_on_the_page(served, browser):
    page, _ = opened(browser, served(mixing()), "zoo/stand_in")
    pictures = page.locator("figure img:visible")
    pictures.nth(2).wait_for(timeout=60_000)
    assert pictures.count() == 3
    before = pictures.last.get_attribute("src")
    page.get_by_role("button", name="Colours").first.click()
    changed(page, before)
    page.get_by_text("layers 8 to 9 of 0 to 9").wait_for()
    before = pictures.last.get_attribute("src")
    page.locator(".noUi-handle").first.press("ArrowRight")
    changed(page, before)


def test_a_text_changes_a_picture_on_the_page(served, browser):
    page, _ = opened(browser, served(edited(styleclip)), "zoo/stand_in")
    page.get_by_label("Neutral").fill("a face")
    page.get_by_label("Target").fill("a sad face")
    page.get_by_label("Target").press("Enter")
    page.get_by_role("button", name="Run", exact=True).and_(page.locator(":visible")).click()
    pictures = page.locator("figure img:visible")
    pictures.nth(1).wait_for(timeout=60_000)
    before = pictures.last.get_attribute("src")
    page.get_by_role("slider").first.press("ArrowRight")
    changed(page, before)


def test_every_step_of_a_try_on_is_shown(served, browser, monkeypatch):
    page, _ = opened(browser, served(dressing(monkeypatch)[0]), "zoo/stand_in")
    page.get_by_role("button", name="A person and a garment").click(timeout=60_000)
    page.get_by_text("3. The garment, bent").wait_for()
    assert page.get_by_text("Cloth: example.png").count() == 1, "the box itself says that no file was chosen"
    pictures = page.locator("figure img:visible")
    pictures.nth(10).wait_for()  # Five are given, four on the way, the person and the result.
    assert pictures.count() == 11
    before = pictures.last.get_attribute("src")
    page.get_by_label("Seed").and_(page.locator(":visible")).fill("5")
    page.get_by_label("Seed").and_(page.locator(":visible")).press("Enter")
    changed(page, before)


def test_a_round_of_debiasing_on_the_page(served, browser, play):
    page, _ = opened(browser, served(played.classifier()), "zoo/stand_in")
    page.get_by_text("Look for bias", exact=True).click(timeout=60_000)
    press = lambda name: page.get_by_role("button", name=name, exact=True).and_(page.locator(":visible")).click()
    press("Look")
    page.get_by_text("2 chosen").wait_for()
    box = page.locator(".bk-Canvas:visible").first.bounding_box()
    corners = [(0.02, 0.5), (0.5, 0.5), (0.5, 0.98), (0.02, 0.98), (0.02, 0.55)]  # Around what is red.
    places = [(box["x"] + x * box["width"], box["y"] + 30 + y * (box["height"] - 40)) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.get_by_text("20 chosen").wait_for()
    pictures = page.locator(".some img:visible")
    before = pictures.first.get_attribute("src")
    page.get_by_text("Where it looks (Grad-CAM)").click()
    assert page.locator("input[type=checkbox]:visible").is_checked()
    for _ in range(100):
        if pictures.first.get_attribute("src") != before:
            break
        page.wait_for_timeout(100)
    assert pictures.first.get_attribute("src") != before
    press("Make pictures")
    page.get_by_text("made of it").first.wait_for()
    press("Train")
    page.get_by_text("8 became right and 0 wrong").wait_for()


def test_a_box_is_ticked_by_its_label(address, browser):
    page, _ = opened(browser, address, "zoo/acgan_digits")
    box = page.locator("input[type=checkbox]:visible")
    box.wait_for(timeout=60_000)
    assert box.is_checked()
    page.get_by_text("Run at every change").and_(page.locator(":visible")).click()
    assert not box.is_checked()
    image = page.locator("figure img").first
    before = image.get_attribute("src")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Seed").press("Enter")
    page.wait_for_timeout(1500)
    assert image.get_attribute("src") == before, "it runs at no change any more"


@pytest.mark.parametrize("width, beside", [(1440, True), (1000, False)])
def test_what_is_painted_and_the_result_are_seen_together(served, browser, width, beside):
    kinds = {"image": values.Image(), "hints": values.Scribble(least=0)}
    tool = Tool("colorize", "Colours.", kinds, {"image": values.Image()}, {}, WholePicture(stride=8, size=64))
    shares = np.zeros((1, 16, 16, len(gamut.grid())), np.float32)
    found = served(model("hints.Hints", tool, lambda method, arrays: shares))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{found}?run=zoo/stand_in")
    file = png("grey.png", "#808080", (256, 256))
    upload = page.locator("input[type=file]:visible")
    upload.wait_for(timeout=60_000)
    upload.set_input_files([{"name": file.name, "mimeType": "image/png", "buffer": file.data}])
    page.get_by_text("Save image.png").and_(page.locator(":visible")).wait_for()
    result, canvas = (page.locator(where).last.bounding_box() for where in ("figure img:visible", ".bk-Canvas:visible"))
    assert (result["x"] >= canvas["x"] + canvas["width"]) == beside
    assert not beside or result["x"] + result["width"] <= width and result["y"] + result["height"] <= 900
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def changed(page, before):
    """Waits until the last picture that is shown is another."""
    for _ in range(200):
        if page.locator("figure img:visible").last.get_attribute("src") != before:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the picture did not change")
