"""The presets: settings by the size and kind of a corpus."""

from __future__ import annotations

from helpers import PALINDROMES as TEXTS

import flaxchar
from flaxchar.config import Config
from flaxchar.presets import make_preset


def test_presets_fit_the_corpus():
    sizes = [10_000, 300_000, 5_000_000, 500_000_000]
    for name, budget in (("default", None), ("fast", "1m"), ("best", "30m")):
        presets = [make_preset(name, size) for size in sizes]
        for preset in presets:
            preset.validate()
        assert [preset.training.time_budget for preset in presets[1:]] == [budget] * 3
        assert presets[0].training.epochs  # so little text that its passes count, not the time
        dropouts = [preset.model.dropout for preset in presets]
        assert dropouts == sorted(dropouts, reverse=True)
        assert dropouts[0] > dropouts[-1]
    assert make_preset("default", 300_000) == Config()
    assert make_preset("best", 300_000, running=True).training.epochs  # a short book is known by heart in half an hour
    assert make_preset("fast", 300_000, running=True).training.batch_size < Config().training.batch_size
    # Long texts are as much as windows, and of them, too, a batch has fewer.
    assert make_preset("fast", 5_000_000, mean_length=280) == make_preset("fast", 5_000_000, running=True)
    assert make_preset("fast", 5_000_000, mean_length=60) == make_preset("fast", 5_000_000)
    assert make_preset("reference", 10) == flaxchar.PRESETS["reference"]
    assert make_preset("classifier", 10).model.head == "classifier"
    make_preset("classifier", 10).replace(label_field="kind").validate()


def test_without_settings_a_model_is_trained_as_its_few_texts_want_it():
    lm = flaxchar.train(TEXTS)
    assert lm.config == make_preset("default", 100)
    assert flaxchar.train(TEXTS, steps=2, hidden=8).config.training.epochs is None
