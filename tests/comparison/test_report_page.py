"""The page of a comparison in a real browser: it sorts, flips, zooms, at two widths.

Skipped where there is no Chromium with its driver, or no selenium.
"""

import shutil

import pytest
from PIL import Image
from skimage.data import camera

from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.plan import Plan
from proxlab.comparison.report import report

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no Chromium here"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder, out = (tmp_path_factory.mktemp(name) for name in ("photographs", "out"))
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 96, 200:296]).save(folder / f"{i}.png")
    rows = compare(
        ["none", "lpn-gray-small"],
        ["deblur", "inpaint"],
        folder,
        out,
        Plan(default=PriorSettings(steps=30)),
    )
    path = out / "report.html"
    path.write_text(report(rows, out), encoding="utf-8")
    return path


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=str)
def browser(request, page):
    width, scheme = request.param
    options = ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # below 500 pixels a window cannot be, a device can
    options.add_experimental_option(
        "mobileEmulation",
        {"deviceMetrics": {"width": width, "height": 900, "pixelRatio": 1.0}},
    )
    driver = Chrome(options, ChromeService(shutil.which("chromedriver")))
    try:
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preferred]})
        driver.get(page.as_uri())
        yield driver
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def of(driver, selector):
    return driver.find_elements("css selector", selector)


def zoomed(driver):
    """Where the enlarged parts lie, each place once."""
    return {tile.value_of_css_property("background-position") for tile in of(driver, "#zooms div")}


def test_the_table_sorts_both_ways_by_the_heading_that_is_clicked(browser):
    def priors():
        return [cell.text for cell in of(browser, "#table tbody td:first-child")]

    assert priors() == ["none", "lpn-gray-small"]
    headings = of(browser, "#table th button")
    headings[1].click()
    assert priors() == ["lpn-gray-small", "none"]
    assert of(browser, "#table th")[1].get_attribute("aria-sort") == "descending"
    of(browser, "#table th button")[1].click()
    assert priors() == ["none", "lpn-gray-small"]


def test_a_click_flips_between_two_restorations_and_the_zoom_follows(browser, tmp_path):
    buttons = of(browser, "#versions button")
    named = ["truth", "measured", "first estimate", "none", "lpn-gray-small"]
    assert [b.text for b in buttons] == named
    big, caption = of(browser, "#big")[0], of(browser, "#caption")[0]
    assert buttons[3].get_attribute("aria-pressed") == "true"  # with the truth to flip to
    buttons[0].click()
    buttons[4].click()
    restored, said = big.get_attribute("src"), caption.text
    assert said.startswith("lpn-gray-small, ") and "SSIM" in said
    big.click()
    assert caption.text == "truth" and big.get_attribute("src") != restored
    big.click()
    assert caption.text == said and big.get_attribute("src") == restored
    before = zoomed(browser)
    ActionChains(browser).move_to_element_with_offset(big, 60, 60).click().perform()
    after = zoomed(browser)
    assert len(before) == len(after) == 1 and before != after  # all of them, elsewhere
    assert browser.save_screenshot(str(tmp_path / "page.png"))


def test_nothing_is_wider_than_the_window_and_another_image_can_be_chosen(browser):
    wide = browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0
    first = of(browser, "#big")[0].get_attribute("src")
    of(browser, "#image option")[1].click()
    assert of(browser, "#big")[0].get_attribute("src") != first
    of(browser, "#problem option")[1].click()
    assert of(browser, "#image")[0].get_attribute("value") == "1"  # the image stays
    assert len(of(browser, "#curves svg")) == 2


def test_an_error_map_lies_beside_every_restoration_and_beside_no_truth(browser):
    error, scale = of(browser, "#error")[0], of(browser, "#marks span")
    assert error.is_displayed() and error.get_attribute("src").startswith("data:image/webp")
    assert scale[0].text == "0" and scale[-1].text.endswith("and more") and len(scale) == 5
    assert "linear-gradient" in of(browser, "#bar")[0].value_of_css_property("background-image")
    big = of(browser, "#big")[0]
    if browser.execute_script("return innerWidth") > 700:
        assert big.rect["y"] == error.rect["y"] and big.rect["width"] == error.rect["width"]
    first = error.get_attribute("src")
    of(browser, "#versions button")[4].click()
    assert error.get_attribute("src") != first
    of(browser, "#versions button")[0].click()
    assert not error.is_displayed()


def test_both_axes_of_a_curve_have_ticks_with_numbers_within_the_drawing(browser):
    for svg in of(browser, "#curves svg"):
        ticks = svg.find_elements("css selector", ".tick")
        upright = [t.get_attribute("x1") == t.get_attribute("x2") for t in ticks]
        assert sum(upright) >= 3 and len(ticks) - sum(upright) >= 2
        words = [text.text for text in svg.find_elements("css selector", "text")]
        assert "step" in words and any(w.startswith("1e") for w in words)
        box = svg.rect
        for text in svg.find_elements("css selector", "text"):
            place = text.rect
            assert place["x"] >= box["x"] - 1
            assert place["x"] + place["width"] <= box["x"] + box["width"] + 1


def contrast(browser, selector):
    """Ratio of luminances of an element's letters and the page. [WCAG 2.1, 1.4.3]"""

    def luminance(colour):
        channels = [int(c) / 255 for c in colour.split("(")[1].rstrip(")").split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ink = of(browser, selector)[0].value_of_css_property("color")
    paper = of(browser, "body")[0].value_of_css_property("background-color")
    dark, light = sorted((luminance(ink), luminance(paper)))
    return (light + 0.05) / (dark + 0.05), luminance(paper)


def test_the_page_is_dark_where_the_reader_wants_it_and_can_be_read_either_way(browser):
    dark = browser.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
    for selector in ("h1", ".soft", "td.best b", "#caption"):
        ratio, paper = contrast(browser, selector)
        assert ratio >= 4.5 and (paper < 0.1) == dark
    browser.execute_script("document.querySelector('h1').style.color = '#777b80'")
    assert contrast(browser, "h1")[0] < 4.5  # a gray that the check finds wanting
