"""The page: complete in itself, safe with any text, and usable by mouse, touch and keyboard."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import shutil
from html.parser import HTMLParser

import pytest
from insight.conftest import CAFE, HOSTILE, SHALOM

from flaxchar.insight.page import render
from flaxchar.insight.report import make_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report(hostile_run):
    return make_report(hostile_run)


@pytest.fixture(scope="module")
def page(report):
    return render(report)


class Elements(HTMLParser):
    """All elements of a page, and whether they are nested rightly."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_texts_are_escaped_wherever_they_stand(page):
    elements = Elements(page)
    assert not elements.open
    assert [tag for tag, _ in elements.seen].count("script") == 2
    assert not any(tag == "img" for tag, _ in elements.seen)
    assert not any(name.startswith("on") or name == "style" for _, attrs in elements.seen for name in attrs)
    assert "49" not in re.findall(r"\{\{.*?\}\}", page)
    for data in re.findall(r"<script.*?>(.*?)</script>", page, re.S):
        assert "</" not in data
    assert "\u202e" not in page  # what turns the rest of the line round is named


def test_it_loads_nothing_and_allows_nothing_but_its_own_style_and_script(page):
    elements = Elements(page)
    assert not [attrs for _, attrs in elements.seen if {"src", "action"} & attrs.keys()]
    assert all(attrs["href"].startswith("#") for _, attrs in elements.seen if "href" in attrs)
    (policy,) = [attrs["content"] for tag, attrs in elements.seen if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    for kind, tag in (("style", "style"), ("script", "script")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_a_screen_reader_finds_headings_captions_and_the_numbers_behind_charts(page):
    elements = Elements(page).seen
    names = [tag for tag, _ in elements]
    levels = [int(tag[1]) for tag in names if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    charts = [attrs for tag, attrs in elements if tag == "svg" and attrs.get("class") == "chart"]
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert charts
    for attrs in charts:
        assert attrs["role"] == "img"
        assert set(attrs["aria-labelledby"].split()) <= set(ids)
    assert names.count("figure") == names.count("figcaption")
    targets = [attrs["href"][1:] for tag, attrs in elements if tag == "a"]
    assert set(targets) <= set(ids)


def test_clusters_and_scripts_stay_whole(page):
    spans = [html.unescape(text) for text in re.findall(r"<span class=\"b\d\">(.*?)</span>", page)]
    assert "e\u0301" in spans
    assert "\u0301" not in spans
    assert any("\u200d" in span for span in spans)
    assert 'dir="auto"' in page
    assert len(SHALOM) > 1 < len(CAFE)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), pytest.param(360, "dark", marks=pytest.mark.slow)])
def test_alternatives_by_mouse_touch_and_keyboard(page, tmp_path, width, scheme):
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=True, offline=True
        )
        tab = context.new_page()
        problems = []
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("dialog", lambda dialog: problems.append(dialog.message))
        tab.goto(file.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        panel, text = tab.locator("#panel"), tab.locator(".text[data-shown]").first
        text.scroll_into_view_if_needed()
        text.locator("span").nth(1).hover()
        assert panel.locator("li").count() == 5
        hovered = panel.inner_text()
        text.locator("span").nth(4).tap()
        assert panel.inner_text() != hovered
        tapped = panel.inner_text()
        text.focus()
        tab.keyboard.press("ArrowRight")
        assert panel.inner_text() != tapped
        tab.keyboard.press("ArrowLeft")
        assert panel.inner_text() == tapped
        assert tab.title() == "run: a look inside"
        assert problems == []
        browser.close()


def test_the_hostile_text_is_shown_as_it_is(page):
    painted = re.findall(r"<p class=\"text\" dir=\"auto\" data-shown.*?</p>", page, re.S)
    shown = [html.unescape(re.sub(r"<[^>]*>", "", text)) for text in painted]
    assert any(HOSTILE in text for text in shown)
