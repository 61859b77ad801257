"""From logits to text: sampling, the decode loop, and beam search."""

from flaxchar.generation.beam import beam_search
from flaxchar.generation.decode import DecodeState, decode
from flaxchar.generation.generate import generate, stream
from flaxchar.generation.prompt import Prompt, encode_prompt
from flaxchar.generation.sampling import Sampling, draw_token, next_token_logits

__all__ = [
    "DecodeState",
    "Prompt",
    "Sampling",
    "beam_search",
    "decode",
    "draw_token",
    "encode_prompt",
    "generate",
    "next_token_logits",
    "stream",
]
