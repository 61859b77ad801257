"""The page of a report: one HTML file without any other, by a Jinja template that escapes all texts."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from flaxchar.config import Config
from flaxchar.insight import page_figures as figures
from flaxchar.insight.page_texts import PassagePainter, copied_texts, neuron_rows, sample_groups
from flaxchar.insight.questions import QUESTIONS
from flaxchar.insight.report import ModelReport

_SCALE = [(f"b{k}", str(k) if k < 8 else "8+") for k in range(9)]


def render(report: ModelReport) -> str:
    """The page as HTML.

    Example::

        Path("report.html").write_text(render(make_report(Path("runs/news"))), encoding="utf-8")
    """
    style, script = (_template_file(name) for name in ("page.css", "page.js"))
    painter = PassagePainter(report)
    unit = "character" if report.config.data.unit == "char" else "word"
    values: dict[str, Any] = {
        "name": report.name,
        "classifies": report.classifies,
        "absent": report.absent,
        "lead": _lead(report),
        "cards": _cards(report),
        "notice": "The texts have changed since this model was trained on them. Those that count as held out below may "
        "be among the texts that it has learned."
        if report.changed
        else "",
        "unit": "bits per text" if report.classifies else "bits per character",
        "tokens": f"{unit}s",
        "curves": figures.curves(report),
        "ladder": _ladder(report),
        "classification": _classification(report),
        "samples": report.samples and sample_groups(report.samples),
        "copying": _copying(report),
        "surprise": painter.groups() if report.ranking else [],
        "scale": _SCALE,
        "positions": report.positions and figures.positions(report.positions, report.config.data.running),
        "calibration": report.calibration and figures.reliability(*report.calibration),
        "unit_count": f"{report.config.model.layers * report.config.model.hidden:,}",
        "neurons": neuron_rows(report),
        "unanswered": _unanswered(report),
        "class_neuron": _class_neuron(report),
        "contexts": report.contexts and figures.contexts(report.contexts, unit),
        "memories": report.memories and figures.gates(report.memories, report.config.model.cell, unit),
        "embedding": report.embedding and figures.embedding(report.embedding, unit),
        "settings": _settings(report.config),
        "sections": [
            (name, title)
            for name, title in {
                "learning": "Learning", "samples": "Samples", "copying": "Memorised", "surprise": "Surprise",
                "neurons": "Units", "class": "Class", "memory": "Memory", "embedding": "Map", "settings": "Settings",
            }.items()
            if not (report.classifies and name in ("samples", "copying", "memory"))
        ],
        "style": Markup(style),
        "script": Markup(script),
        "policy": content_policy(style, script),
    }  # fmt: skip
    # JSON within HTML: no text can end the script element.
    alternatives = json.dumps(painter.alternatives, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    values["alternatives"] = Markup(alternatives.replace("<", "\\u003c").replace("\u2028", "\\u2028"))
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.from_string(_template_file("page.html")).render(values)
    # Half of a surrogate pair has no place in UTF-8.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def _template_file(name: str) -> str:
    return (resources.files("flaxchar.insight") / "templates" / name).read_text(encoding="utf-8")


def content_policy(style: str, script: str) -> str:
    """A content-security policy that allows this inline style sheet and script by their content, and nothing else."""
    allowed = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in (style, script))
    by_style, by_script = (f"'sha256-{digest}'" for digest in allowed)
    return f"default-src 'none'; script-src {by_script}; style-src {by_style}; base-uri 'none'; form-action 'none'"


def _lead(report: ModelReport) -> str:
    """What was trained on what, and how well, in three sentences."""
    model, texts = report.config.model, report.record
    layers = "one layer" if model.layers == 1 else f"{model.layers} layers"
    kind = "character" if report.config.data.unit == "char" else "word"
    what = "classifier" if report.classifies else f"{kind}-level language model"
    cell = model.cell.upper().replace("MIN", "min")
    lead = f"A {what}: {cell}, {layers} of {model.hidden} units, {report.parameters:,} parameters"
    if texts.get("name"):
        lead += f", trained on {texts['name']}"
    _, bits = report.best
    if bits is None:
        return f"{lead}."
    unit = "bits to name the label of a held-out text" if report.classifies else "bits per held-out character"
    lead += f". It needs {bits:.3f} {unit}"
    if report.floor is not None:
        lead += (
            f", {bits / report.floor - 1:.1%} above the entropy floor of {report.floor:.3f}, which no model can beat"
        )
    if report.baselines:
        name, other = min(report.baselines.items(), key=lambda item: item[1])
        lead += f". The best of the simple models beside it, {name}, needs {other:.3f}"
    return f"{lead}."


def _cards(report: ModelReport) -> list[dict[str, str]]:
    step, bits = report.best
    minutes = report.seconds / 60
    cards = [
        ("texts to learn", f"{report.record['learned']:,}", "") if "learned" in report.record else None,
        ("held-out texts", f"{report.record['held_out']:,}", "") if "held_out" in report.record else None,
        None
        if bits is None
        else (f"bits per {'text' if report.classifies else 'character'}", f"{bits:.4f}", "held out"),
        ("best step", f"{step:,}", f"of {report.steps:,}") if report.steps else None,
        ("training", f"{minutes:.0f} min" if minutes >= 2 else f"{report.seconds:.0f} s", "")
        if report.seconds
        else None,
        ("vocabulary", f"{report.trained.vocabulary.size:,}", "ids"),
    ]
    return [{"name": card[0], "value": card[1], "note": card[2]} for card in cards if card is not None]


def _ladder(report: ModelReport) -> list[dict[str, Any]]:
    """The baselines and the model, the best last."""
    _, bits = report.best
    if not report.baselines or bits is None:
        return []
    rows = [*((name, value, False) for name, value in report.baselines.items()), ("this model", bits, True)]
    if report.floor is not None:
        rows.append(("entropy floor", report.floor, False))
    most = max(value for _, value, _ in rows)
    rows.sort(key=lambda row: -row[1])
    return [
        {"name": name, "bits": f"{value:.4f}", "own": own, "bar": figures.bar(value / most)}
        for name, value, own in rows
    ]


def _classification(report: ModelReport) -> dict[str, Any] | None:
    result, names = report.classification, report.trained.vocabulary.labels
    if result is None:
        return None
    count = int(result.confusion.sum())
    shown = names[:12]
    return {
        "sentence": f"Of {count:,} held-out texts the model names the right label for {result.accuracy:.1%}"
        + ("" if report.classifies else ", by Bayes' rule from the probability of the text given each label")
        + f". Its probabilities are off by {100 * result.calibration_error:.1f} percentage points (expected "
        "calibration error)."
        + (f" The table has the first {len(shown)} of {len(names)} labels." if len(names) > len(shown) else ""),
        "names": shown,
        "rows": [(name, row[: len(shown)].tolist()) for name, row in zip(shown, result.confusion, strict=False)],
    }


def _copying(report: ModelReport) -> dict[str, Any] | None:
    copying = report.copying
    if copying is None:
        return None
    low, middle, high = copying.quartiles
    searched = (
        f"the {copying.texts:,} training texts"
        if copying.indexed == copying.texts
        else f"the training texts, for passages in the first {copying.indexed:,} of these {copying.texts:,}"
    )
    return {
        "sentence": f"{copying.samples} samples at temperature 0.8 were searched in {searched}. {copying.copies} of "
        f"them equal a training text, {copying.repeated} repeat another sample. The longest passage that a sample "
        f"shares with a training text has a median of {middle} characters (quartiles {low} and {high}), "
        f"{copying.share:.0%} of the sample.",
        "texts": copied_texts(copying.examples),
    }


def _unanswered(report: ModelReport) -> str:
    asked = {neuron.question.name for neuron in report.neurons or ()}
    return ", ".join(f"“{question.name}”" for question in QUESTIONS if question.name not in asked)


def _class_neuron(report: ModelReport) -> dict[str, Any] | None:
    neuron = report.class_neuron
    if neuron is None:
        return None
    told = bool(report.trained.vocabulary.labels) and not report.classifies
    sentence = (
        "The search of Radford et al. (2017), who found a unit that tells the sentiment of reviews: the one unit whose "
        f"mean activation over a text tells its class best, chosen on {neuron.learned:,} training texts and measured "
        f"on {neuron.texts:,} held-out ones. It is unit {neuron.unit.number} of layer {neuron.unit.layer}."
    )
    if told:
        sentence += " This model is given the label before each text, so the unit shows where it keeps the label."
    if not neuron.found:
        sentence += " It is not better than chance."
    rows = [
        ("this one unit", f"{neuron.accuracy:.1%} ({neuron.low:.1%} to {neuron.high:.1%})"),
        ("all units together, by a linear readout", f"{neuron.all_units:.1%}"),
        ("always the most frequent class (chance)", f"{neuron.chance:.1%}"),
    ]
    if report.classification is not None:
        who = "this classifier" if report.classifies else "this model by Bayes' rule, from the text alone"
        rows.append((who, f"{report.classification.accuracy:.1%}"))
    means = ", ".join(f"{name}: {mean:+.3f}" for name, mean in zip(neuron.names, neuron.means, strict=True))
    return {"sentence": sentence, "rows": rows, "means": means}


def _settings(config: Config) -> list[tuple[str, str]]:
    """The settings that differ from their defaults, and the network."""
    defaults = {name: value for section in vars(Config()).values() for name, value in vars(section).items()}
    always = {"cell", "layers", "hidden", "embedding", "dropout", "optimizer", "learning_rate", "batch_size"}
    return [
        (field.name.replace("_", " "), str(value))
        for section in vars(config).values()
        for field in dataclasses.fields(section)
        if (value := getattr(section, field.name)) != defaults[field.name] or field.name in always
    ]
