"""flaxchar: character-level language models in JAX/Flax."""
from flaxchar.language_model import LanguageModel, load, train
