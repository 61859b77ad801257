"""Small corpora and settings that the tests of training share."""

from __future__ import annotations

import pytest
from helpers import PALINDROMES

from flaxchar import Config
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus


@pytest.fixture(scope="session")
def small_config() -> Config:
    """Settings of a model that trains in a moment."""
    return Config().replace(hidden=8, steps=16, batch_size=4, buckets=2, sample_prompts=())


@pytest.fixture(scope="session")
def small_corpus(small_config):
    """Thirty short texts, three of them held out."""
    return encode_corpus(make_corpus(PALINDROMES * 3, PALINDROMES[:3], small_config.data, 0), small_config.data)
