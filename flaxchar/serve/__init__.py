"""The live page and its JSON API: serves runs to several people at once (needs the extra ``serve``)."""

from flaxchar.serve.batcher import Batcher, BusyError
from flaxchar.serve.pool import ModelPool, ServedRun
from flaxchar.serve.server import PageServer
from flaxchar.serve.streams import Ended, Stream, Token

__all__ = ["Batcher", "BusyError", "Ended", "ModelPool", "PageServer", "ServedRun", "Stream", "Token"]
