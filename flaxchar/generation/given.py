"""What a person gives a model to read, brought into the form that the model knows.

A run that was trained with ``normalize`` brings all it reads into that normal form. Where a text still holds characters
that the model has never seen, the other forms of ``flaxchar.data.forms`` are tried, and a ``FormWarning`` tells which
one was taken.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from flaxchar.config import FormWarning, InputError
from flaxchar.data.examples import Example
from flaxchar.data.forms import Fitted, fit, normalized
from flaxchar.data.labels import find_label
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.trained import TrainedModel
from flaxchar.settings import NormalForm

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
# Changes that one warning lists.
_SHOWN_CHANGES = 4


def given_text(vocabulary: Vocabulary, text: str, form: NormalForm | None = None, what: str = "the prompt") -> str:
    """A text in the form that a model knows.

    Args:
      vocabulary: the model's vocabulary.
      text: the text as it was given.
      form: the run's ``normalize``.
      what: what the warning calls the text.
    """
    fitted = _Fitter(vocabulary, form).fit(text)
    if changes := list(fitted.changes):
        if len(changes) > _SHOWN_CHANGES:
            changes[_SHOWN_CHANGES - 1 :] = [f"{len(changes) - _SHOWN_CHANGES + 1} more changes"]
        _tell(f"{what} was taken {_listed(changes)}, as the model knows it")
    return fitted.text


def given_label(vocabulary: Vocabulary, label: str, form: NormalForm | None = None) -> str:
    """The name of a label as the model knows it: ``find_label`` says which spellings name the same one."""
    label = normalized(label, form)
    known = find_label(label, vocabulary.labels)
    return label if known is None else vocabulary.labels[known]


def given_examples(trained: TrainedModel, examples: Sequence[Example], replace: bool = False) -> list[Example]:
    """Examples with texts, labels and sources in the form that a model knows; one warning for each kind of change.

    Args:
      trained: the model.
      examples: what it is to read.
      replace: as for ``flaxchar.data.forms.fit``. A score measures the text itself, so nothing is replaced for it.
    """
    vocabulary, form = trained.vocabulary, trained.config.data.normalize
    fitter = _Fitter(vocabulary, form, replace)
    counts: Counter[str] = Counter()
    result = []
    for example in examples:
        text, source = fitter.fit(example.text), None if example.source is None else fitter.fit(example.source)
        counts.update(text.changes)
        counts.update(source.changes if source else ())
        label = None if example.label is None else given_label(vocabulary, example.label, form)
        result.append(Example(text.text, label, source.text if source else None))
    for change, count in counts.items():
        were, it = ("text was", "it") if count == 1 else ("texts were", "them")
        _tell(f"{count:,} {were} taken {change}, as the model knows {it}")
    return result


def check_normalized(trained: TrainedModel, content: str | Sequence[Example]) -> None:
    """Check that what is to be compressed is in the run's normal form, since compression changes nothing.

    Raises:
      InputError: it is not.
    """
    form = trained.config.data.normalize
    texts = [content] if isinstance(content, str) else [text for e in content for text in (e.text, e.source or "")]
    if form is not None and any(normalized(text, form) != text for text in texts):
        raise InputError(
            f'the text is not in the normal form that the model reads (it was trained with `normalize="{form}"`), and '
            "compression changes nothing; bring it into that form first"
        )


class _Fitter:
    """Brings texts into the form that a vocabulary knows."""

    def __init__(self, vocabulary: Vocabulary, form: NormalForm | None, replace: bool = True) -> None:
        self._vocabulary, self._form, self._replace = vocabulary, form, replace
        self._known = frozenset("".join(token for token in vocabulary.tokens if token))

    def fit(self, text: str) -> Fitted:
        text = normalized(text, self._form)
        if self._vocabulary.unit == "char" and self._known.issuperset(text):
            return Fitted(text)
        return fit(text, self._known, self._count_unknown, self._replace)

    def _count_unknown(self, text: str) -> int:
        return sum(self._vocabulary.id_of(token) is None for token in self._vocabulary.tokenize(text))


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _tell(sentence: str) -> None:
    """Warn at the line outside this package that called it."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(sentence, FormWarning, stacklevel=depth)
