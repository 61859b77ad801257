"""The page in a real browser: Chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
import time

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the extra test")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
# A browser that asks nobody but the page.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDE, NARROW = (1280, 860), (360, 740)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, server):
    """Open the page; at the end of the test, its console must be empty, but for refusals with ``refused``."""
    told, contexts, allowed = [], [], []

    def visit(view="write", *, size=WIDE, scheme="light", motion="reduce", run="plain", refused=False):
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion=motion,
            has_touch=size == NARROW,
        )
        contexts.append(context)
        allowed.extend(["status of 400"] * refused)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.goto(f"http://127.0.0.1:{server.port}/#/{view}")
        expect(page.locator("#facts")).to_contain_text("units")
        if run != "plain":
            page.select_option("#run", run)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [line for line in told if not any(part in line for part in allowed)] == []


def expect(locator):
    """Playwright's ``expect``, with the patience that a busy machine needs."""
    sync_api.expect.set_options(timeout=60_000)
    return sync_api.expect(locator)


def set_seed(page, seed=0, size=40):
    """Settings of a text that can be compared; the fieldset is closed on a narrow screen."""
    if page.locator("#settings").get_attribute("open") is None:
        page.click("#settings summary")
    page.uncheck("#reseed")
    page.fill("#seed", str(seed))
    page.fill("#size", str(size))


def write(page, prompt="An", seed=0, size=40) -> str:
    """Let the page write, and return the text."""
    set_seed(page, seed, size)
    page.fill("#prompt", prompt)
    page.click("#go")
    expect(page.locator("#write-status")).to_contain_text("written")
    return written(page)


def written(page) -> str:
    return page.locator("#written").inner_text().replace("¶", "").replace("↵", "")


def test_the_page_writes_what_generate_writes(visit, lm):
    page = visit()
    assert write(page, "An", seed=3) == lm.generate("An", seed=3, size=40)[0]
    assert write(page, "Ot", seed=4) == lm.generate("Ot", seed=4, size=40)[0]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_every_view_fits_its_screen_in_both_schemes(visit, size, scheme):
    page = visit(size=size, scheme=scheme)
    write(page)
    for view in ("write", "surprise", "units", "curves"):
        page.click(f"#tab-{view}")
        expect(page.locator(f"#{view}")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    colours = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    back, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours)
    assert (back > 200 and ink < 80) if scheme == "light" else (back < 80 and ink > 200)


@pytest.mark.slow
def test_alternatives_are_shown_and_one_can_go_on_from_one(visit, lm):
    page = visit()
    text = write(page, "An", seed=3)
    tokens = page.locator("#written .token")
    for show in (tokens.nth(1).click, tokens.nth(1).hover):
        show()
        expect(page.locator("#alternatives")).to_be_visible()
        choices = page.locator("#alternatives button.choice")
        assert choices.count() == 5
        page.keyboard.press("Escape")
        page.mouse.move(5, 5)
        expect(page.locator("#written .token:hover")).to_have_count(0)  # or a busy browser joins two moves
        expect(page.locator("#alternatives")).to_be_hidden()
    tokens.nth(1).click()
    other = next(k for k in range(5) if len(choices.nth(k).locator("b").inner_text()) == 1
                 and choices.nth(k).locator("b").inner_text() != text[3])  # fmt: skip
    letter = choices.nth(other).locator("b").inner_text()
    choices.nth(other).click()
    expect(page.locator("#written .token.picked")).to_have_text(letter)
    expect(page.locator("#write-status")).to_contain_text("written")
    assert written(page) == lm.generate(text[:3] + letter, seed=3, size=40)[0]


@pytest.mark.slow
def test_the_keyboard_alone_reaches_the_alternatives(visit):
    page = visit()
    write(page, "An", seed=3)
    page.locator("#written .token").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#alternatives button.choice").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#alternatives button.choice").nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#written .token").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#written .token.picked")).to_have_count(1)


@pytest.mark.slow
def test_a_new_checkpoint_leaves_the_alternatives_open(visit):
    page = visit()
    write(page, "An", seed=3)
    page.locator("#written .token").nth(1).click()
    expect(page.locator("#alternatives")).to_be_visible()

    def later(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={"runs": [{**run, "step": 7} for run in answer.json()["runs"]]})

    page.evaluate("document.getElementById('surprise-text').value = 'Anna'")
    with page.expect_response("**/score"):  # the other views measure their texts anew
        page.route("**/runs", later)
        expect(page.locator("#facts")).to_contain_text("checkpoint of step 7")
    expect(page.locator("#surprise-heat .token")).to_have_count(5)
    expect(page.locator("#alternatives")).to_be_visible()


@pytest.mark.slow
def test_alternatives_of_an_old_text_close_when_the_new_one_comes(visit):
    page = visit("surprise")
    page.fill("#surprise-text", "Hannah")
    expect(page.locator("#surprise-heat .token")).to_have_count(7)
    held = []
    page.route("**/score", lambda route: held.append(route))  # noqa: PLW0108  Playwright takes no built-in method
    with page.expect_request("**/score"):
        page.fill("#surprise-text", "Anna")
    page.locator("#surprise-heat .token").nth(2).click()  # the list opens while the new text is measured
    expect(page.locator("#alternatives")).to_be_visible()
    held[0].continue_()
    expect(page.locator("#surprise-heat .token")).to_have_count(5)
    expect(page.locator("#alternatives")).to_be_hidden()


@pytest.mark.slow
def test_a_text_streams_and_stops(visit, server):
    page = visit(motion="no-preference")
    set_seed(page, size=4000)
    page.fill("#prompt", "To be")
    page.locator("#temperature").fill("0")
    page.click("#go")
    expect(page.locator("#written .token").nth(3)).to_be_visible()
    expect(page.locator("#stop")).to_be_enabled()
    page.click("#stop")
    expect(page.locator("#write-status")).to_contain_text("Stopped.")
    stopped = written(page)
    assert 5 < len(stopped) < 4000
    time.sleep(0.3)
    assert written(page) == stopped
    assert server.batcher.streams == 0
    page.click("#go-on")
    expect(page.locator("#written .token").nth(len(stopped) + 2)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#write-status")).to_contain_text("Stopped.")
    assert written(page).startswith(stopped)


@pytest.mark.slow
def test_a_heat_map_of_a_text(visit, lm):
    page = visit("surprise", refused=True)
    page.fill("#surprise-text", "Anna <b>")
    expect(page.locator("#surprise-status")).to_contain_text("bits per character")
    assert f"{lm.score(['Anna <b>'])[0]:.2f}" in page.locator("#surprise-status").inner_text()
    tokens = page.locator("#surprise-heat .token")
    assert tokens.all_inner_texts() == [*"Anna <b>", "¶"]
    heats = [float(token.evaluate("token => token.style.getPropertyValue('--heat')")) for token in tokens.all()]
    assert len(set(heats)) > 3
    tokens.nth(5).click()
    expect(page.locator("#alternatives .choice")).to_have_count(5)
    expect(page.locator("#alternatives button")).to_have_count(0)  # here nothing can be gone on from
    page.fill("#surprise-text", "Aωa")
    expect(page.locator("#surprise-status")).to_contain_text("Left out 1 character that the model has never seen: 'ω'.")
    assert tokens.all_inner_texts() == ["A", "a", "¶"]
    page.fill("#surprise-text", "x" * 4001)
    expect(page.locator("#surprise-problem")).to_contain_text("at most 4,000")
    assert tokens.count() == 0
    page.fill("#surprise-text", "A")
    expect(page.locator("#surprise-problem")).to_be_hidden()


@pytest.mark.slow
def test_a_unit_fires_while_one_types(visit, lm):
    from flaxchar.insight.trace import trace

    page = visit("units", refused=True)
    expect(page.locator("#grid .cell")).to_have_count(12)
    page.locator("#units-text").press_sequentially("Hannah")
    expect(page.locator("#units-paint .token")).to_have_count(6)
    page.select_option("#layer", "1")
    page.locator("#grid .cell").nth(5).click()
    expect(page.locator("#unit")).to_have_value("5")
    states = trace(lm, "Hannah").activations[1, 1:, 5]
    expect(page.locator("#units-status")).to_contain_text(f"Unit 5 is at {states[-1]:.2f} after the last character.")
    assert [
        float(token.get_attribute("title")) for token in page.locator("#units-paint .token").all()
    ] == pytest.approx(states.tolist(), abs=0.011)
    assert page.locator("#units-trace polyline").get_attribute("points").count(",") == 6
    page.fill("#units-text", "Hωannah")
    expect(page.locator("#units-status")).to_contain_text("Left out 1 character that the model has never seen: 'ω'.")
    expect(page.locator("#units-paint .token")).to_have_count(6)
    page.fill("#unit", "12")
    expect(page.locator("#units-problem")).to_contain_text("there is no unit 12")
    assert page.locator("#units-paint *, #units-trace *").count() == 0  # nothing of the unit before
    expect(page.locator("#units-status")).to_be_empty()


@pytest.mark.slow
def test_runs_are_switched_and_labels_stay_text(visit, labelled):
    page = visit(run="labelled")
    expect(page.locator("#given")).to_be_visible()
    assert page.locator("#label option").all_inner_texts() == ["<b>a</b>", "b"]
    page.select_option("#label", "b")
    assert write(page, "", seed=1, size=20) == labelled.generate(label="b", seed=1, size=20)[0]
    page.select_option("#run", "classifier")
    expect(page.locator("#tab-write")).to_be_hidden()
    expect(page.locator("#tab-classify")).to_be_visible()
    page.click("#tab-classify")
    page.fill("#classify-text", "Hannah")
    expect(page.locator("#classes .choice")).to_have_count(2)
    assert "<b>a</b>" in page.locator("#classes b").all_inner_texts()
    page.select_option("#run", "plain")
    expect(page.locator("#tab-classify")).to_be_hidden()
    expect(page.locator("#write")).to_be_visible()
    expect(page.locator("#given")).to_be_hidden()


@pytest.mark.slow
def test_script_in_a_prompt_stays_text(visit):
    page = visit()
    script = "<script>alert(1)</script>"
    assert write(page, script, size=60).startswith(script)
    page.click("#tab-surprise")  # what was written is there to be measured
    expect(page.locator("#surprise-heat .token").first).to_have_text("<")
    assert page.locator("main script").count() == 0


@pytest.mark.slow
def test_the_curves_of_a_run(visit):
    page = visit("curves")
    expect(page.locator("#chart .held-out")).to_have_count(1)
    expect(page.locator("#curves-status")).to_contain_text("held out 3.5000")
    page.select_option("#run", "running")
    expect(page.locator("#curves-status")).to_contain_text("There are no losses yet.")


@pytest.mark.slow
def test_every_control_has_a_name(visit):
    page = visit()
    nameless = page.evaluate(
        """[...document.querySelectorAll("input, textarea, select, button, [role=dialog], svg[role=img]")]
        .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel || e.getAttribute("aria-labelledby")))
        .map((e) => e.id)"""
    )
    assert nameless == []
    live = page.locator("[aria-live=polite]")
    assert live.count() >= 4
