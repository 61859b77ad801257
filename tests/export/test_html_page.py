"""The page: in a real browser it agrees with JAX, writes the same text, shows surprise and units, without network."""

from __future__ import annotations

import json
import re
import shutil

import jax
import numpy as np
import pytest
from exports import jax_logits, random_model, some_ids, told
from helpers import PALINDROMES

from flaxchar.export import html_page
from flaxchar.export.html_page import html_bytes
from flaxchar.generation.sampling import Sampling, next_token_logits
from flaxchar.models.cells import CELLS

# What a headless browser needs where there is no display, and no network.
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("needs Chromium as chromium on the path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open the page of a model. The test fails if the page said anything on its console or asked for anything."""
    told, pages = [], []

    def open_one(lm, title="names", **context):
        path = tmp_path / f"page{len(pages)}.html"
        path.write_bytes(html_bytes(lm, title))
        page = browser.new_page(**context)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert told == []


def wait(page):
    # Not wait_for_function: it evaluates strings, which the page's policy forbids.
    page.locator("#status", has_text="bits/char").wait_for()
    return page.text_content("#status")


def write(page, text="", **fields):
    for name, value in fields.items():
        page.fill(f"#{name.replace('_', '-')}", str(value))
    page.fill("#text", text)
    page.click("#write")
    wait(page)
    return page.input_value("#text")


SETTINGS = [{"embedding": 0}, {"layers": 2, "embedding": 5, "residual": True, "layer_norm": True}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("cell", list(CELLS))
def test_logits_agree_with_jax(cell, settings, open_page):
    lm = random_model(cell=cell, **settings)
    ids, *_ = given = some_ids(lm)
    program = """ids => {
        let state = { carry: initialCarry() };
        return ids.map((id) => Array.from((state = step(id, state.carry)).logits));
    }"""
    logits = open_page(lm).evaluate(program, ids.tolist())
    np.testing.assert_allclose(logits, jax_logits(lm, given)[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"layers": 2}, None),
        ({"bos": False, "cell": "gru"}, None),
        ({"labels": ("good", "bad"), "bos": False}, "bad"),
        ({"texts": [*PALINDROMES, "\n"], "window": 8, "begin_at": "line", "cell": "minlstm"}, None),
        ({"max_vocab": 6}, None),
    ],
    ids=str,
)
def test_greedy_text_is_that_of_jax_letter_for_letter(settings, label, open_page):
    lm = random_model(**settings)
    page = open_page(lm)
    if label is not None:
        page.select_option("#label", label)
    for prompt in ("", lm.vocabulary.tokens[0] * 2):
        expected = lm.generate(prompt, temperature=0, size=40, label=label)[0]
        assert write(page, prompt, temperature=0, size=40) == expected


def test_surprise_agrees_with_score_and_what_is_unknown_is_told(open_page):
    lm = random_model(normalize="nfc")
    page = open_page(lm)
    page.fill("#text", "AnnaΩ")
    status = wait(page)
    assert float(status.split()[0]) == pytest.approx(lm.score(["AnnaΩ"], unknown="drop")[0], abs=6e-4)
    assert "over 5 characters; left out, for the model does not know them: Ω" in status
    assert page.locator("#surprise .left-out").all_text_contents() == ["Ω"]
    assert page.text_content("#surprise") == "AnnaΩ∎"
    bits = page.evaluate("records.map(({ bits }) => bits)")
    assert bits[4] is None
    assert sum(bit for bit in bits if bit is not None) / 5 == pytest.approx(float(status.split()[0]), abs=6e-4)


def test_running_text_has_no_end(open_page):
    lm = random_model(["ab\n"], window=8, begin_at="line")
    page = open_page(lm)
    page.fill("#text", "ab\nb")
    assert float(wait(page).split()[0]) == pytest.approx(lm.score(["ab\nb"])[0], abs=6e-4)
    assert page.text_content("#surprise") == "ab↵\nb"


def test_drawing_follows_temperature_top_k_and_top_p(open_page):
    page = open_page(random_model())
    reference = jax.jit(next_token_logits, static_argnames="filtered")
    logits = np.random.default_rng(2).normal(0, 2, 20).astype(np.float32)
    for temperature, top_k, top_p in ((0.7, 0, 1), (1.3, 4, 1), (1, 0, 0.6), (0.5, 7, 0.9), (2, 1, 1)):
        options = {"temperature": temperature, "topK": top_k, "topP": top_p}
        drawn = page.evaluate(
            "([logits, o]) => Array.from(drawingProbabilities(logits, o))", [logits.tolist(), options]
        )
        allowed = np.where(np.arange(20) == 0, -np.inf, logits)
        expected = reference(allowed, Sampling(np.float32(temperature), top_k, np.float32(top_p)), filtered=True)
        np.testing.assert_allclose(drawn, np.exp(expected) / np.exp(expected).sum(), atol=1e-5)
    counts = page.evaluate("Array.from({ length: 2000 }, () => draw([0, 0.25, 0, 0.75]))")
    assert set(counts) == {1, 3}
    assert 400 < counts.count(1) < 600


def test_a_character_shows_what_was_expected_and_which_units_fire(open_page):
    lm = random_model(layers=2)
    page = open_page(lm)
    page.fill("#text", "Anna")
    wait(page)
    page.focus("#surprise")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    likely = page.locator("#likely li").all_text_contents()
    logits = jax_logits(lm, np.array([[lm.vocabulary.eos, *lm.vocabulary.encode("An")]]))[0, 2]
    names = ["padding", *lm.vocabulary.tokens, "end of text"]
    assert re.match(rf"{names[int(logits.argmax())]}\d+ %", likely[0])
    assert len(likely) == 5
    assert page.get_attribute("#surprise", "aria-valuenow") == "3"
    assert "n: " in page.get_attribute("#surprise", "aria-valuetext")
    page.select_option("#layer", "1")
    page.locator("#strongest button").first.click()
    unit = int(page.input_value("#unit"))
    _, carry = lm.model.apply({"params": lm.params}, np.array([[lm.vocabulary.eos, *lm.vocabulary.encode("Ann")]]))
    h = np.asarray(carry[1][0])[0]
    assert unit == np.abs(h).argmax()
    shown = page.evaluate(
        "getComputedStyle(document.querySelector('#firing').childNodes[2]).getPropertyValue('--share')"
    )
    assert float(shown) == pytest.approx(min(abs(h[unit]), 1), abs=6e-4)
    assert "low" in (page.locator("#firing span").nth(2).get_attribute("class") or "") or h[unit] >= 0


def test_writing_stops_and_the_text_is_cleared(open_page):
    page = open_page(random_model(["ab\n"], window=8, begin_at="anywhere"))
    page.fill("#size", "4000")
    page.click("#write")
    page.click("#write")  # now Stop
    length = len(page.input_value("#text"))
    page.wait_for_timeout(100)
    assert len(page.input_value("#text")) == length < 4000
    assert page.text_content("#write") == "Write"
    page.click("#clear")
    page.locator("#surprise", has_not=page.locator("span")).wait_for(state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_screen_and_its_text_can_be_read(scheme, open_page):
    page = open_page(random_model(), viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page.fill("#text", "Anna Hannah " * 20)
    wait(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    unnamed = "[...document.querySelectorAll('input, select, textarea')].filter((e) => !e.labels.length).length"
    assert page.evaluate(unnamed) == 0
    colours = page.evaluate(
        """() => ["--ink", "--card", "--page", "--soft", "--heat", "--plus", "--minus", "--accent"].map(
            (name) => [name, getComputedStyle(document.documentElement).getPropertyValue(name).trim()])"""
    )
    colours = dict(colours)
    for name in ("--card", "--page", "--heat", "--plus", "--minus"):
        assert contrast(colours["--ink"], colours[name]) > 4.5, name
    assert contrast(colours["--soft"], colours["--card"]) > 4.5
    assert contrast(colours["--accent"], colours["--card"]) > 4.5


def contrast(one: str, other: str) -> float:
    """The contrast of two colours #rrggbb, by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\ud800",
    "\u2028",
    "&amp;<img src=x onerror=alert(1)>",
]


def test_hostile_characters_labels_and_titles_are_text(open_page):
    labels = ("</script><script>alert(1)</script>", "<b>")
    lm = random_model(["".join(HOSTILE)], labels=labels, bos=False)
    page = open_page(lm, title="</title><script>alert(1)</script>")
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    assert page.title() == "</title><script>alert(1)</script>"
    assert page.locator("#label option").all_text_contents() == list(labels)
    page.fill("#text", "<img src=x onerror=alert(1)>")
    wait(page)
    assert page.locator("#surprise img").count() == 0


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else():
    page = html_bytes(random_model(), "a").decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; base-uri 'none'; "
        "form-action 'none'",
        policy,
    )
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page)
    assert not re.search(r"(?:src|href)=|https?://", page)


def test_the_vocabulary_is_in_the_page_exactly():
    lm = random_model(["".join(HOSTILE)])
    page = html_bytes(lm, "a").decode()
    record = json.loads(re.search(r'<script id="model"[^>]*>(.*?)</script>', page)[1])
    assert record["tokens"] == list(lm.vocabulary.tokens)


def test_weights_too_large_for_a_page_are_refused(monkeypatch):
    monkeypatch.setattr(html_page, "_MOST_BYTES", 1000)
    assert "a page should not hold more than 1 kB" in told(html_bytes, random_model(), "a")
