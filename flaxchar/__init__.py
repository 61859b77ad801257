"""flaxchar: character-level language models in JAX/Flax. Train on any text in minutes, generate and score text.

Example::

    lm = flaxchar.train(["Anna", "Otto", "Hannah"], steps=500)
    lm.generate("Ha", temperature=0.7, num_samples=5)
    lm.score(["Hanna"])
    lm.save("runs/names")
    lm = flaxchar.load("runs/names")

``__init__.pyi`` lists the public names, each with a comment. Everything else may change.
"""

import lazy_loader

__version__ = "0.1.0"

# Each name is imported on first use, because `flaxchar --help` and the settings need no JAX.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
