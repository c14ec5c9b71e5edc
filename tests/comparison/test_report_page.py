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


@pytest.fixture(params=[1280, 390])
def browser(request, page):
    options = ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # below 500 pixels a window cannot be, a device can
    options.add_experimental_option(
        "mobileEmulation",
        {"deviceMetrics": {"width": request.param, "height": 900, "pixelRatio": 1.0}},
    )
    driver = Chrome(options, ChromeService(shutil.which("chromedriver")))
    try:
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
    assert [b.text for b in buttons] == ["truth", "no prior", "none", "lpn-gray-small"]
    big, caption = of(browser, "#big")[0], of(browser, "#caption")[0]
    buttons[3].click()
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
