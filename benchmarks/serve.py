"""Load test of ``flaxchar serve``: the rate of fifty texts at once beside that of one, and that all are right.

Usage: ``python benchmarks/serve.py runs/headlines``. It starts the command, opens the streams from one process, and
prints a table. Each text is compared with ``LanguageModel.generate`` for the same seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from typing import NamedTuple
from urllib.parse import urlsplit

COUNTS, REPEATS = (1, 10, 50), 5


class Text(NamedTuple):
    text: str
    tokens: int
    first: float  # seconds to the first token
    seconds: float


async def write(port: int, seed: int, size: int, prompt: str) -> Text:
    """Read one stream."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"seed": seed, "size": size, "prompt": prompt, "temperature": 1.0}).encode()
    head = f"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    text, tokens, first = prompt, 0, 0.0
    async for line in reader:
        if line.startswith(b'data: {"tokens"'):
            first = first or time.perf_counter() - began
            seen = json.loads(line.removeprefix(b"data: "))["tokens"]
            text, tokens = text + "".join(token["text"] for token in seen), tokens + len(seen)
    writer.close()
    return Text(text, tokens, first, time.perf_counter() - began)


async def load(port: int, count: int, size: int, prompt: str) -> tuple[float, list[Text]]:
    """Read some streams at once; seconds and texts."""
    began = time.perf_counter()
    texts = await asyncio.gather(*(write(port, seed, size, prompt) for seed in range(count)))
    return time.perf_counter() - began, texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--prompt", default="")
    options = parser.parse_args()
    command = [sys.executable, "-m", "flaxchar", "serve", options.run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = urlsplit(server.stdout.readline().split(" at ")[1].split()[0]).port
            assert port is not None
            texts = asyncio.run(load(port, 50, options.size, options.prompt))[1]  # compiles
            print("| texts at once | characters a second | for each text | first character after | text after |")
            print("|---|---|---|---|---|")
            for count in COUNTS:
                runs = []
                for _ in range(REPEATS):
                    runs.append(asyncio.run(load(port, count, options.size, options.prompt)))
                    time.sleep(count / 15)  # within the limit of requests of one address
                rate = statistics.median(sum(t.tokens for t in texts) / seconds for seconds, texts in runs)
                each = statistics.median(t.tokens / t.seconds for _, texts in runs for t in texts)
                first = statistics.median(t.first for _, texts in runs for t in texts)
                whole = statistics.median(t.seconds for _, texts in runs for t in texts)
                print(f"| {count} | {rate:,.0f} | {each:,.0f} | {1000 * first:.0f} ms | {1000 * whole:.0f} ms |")
        finally:
            server.terminate()
    import flaxchar

    lm = flaxchar.load(options.run)
    settings = {"size": options.size, "temperature": 1.0}
    right = sum(t.text == lm.generate(options.prompt, seed=seed, **settings)[0] for seed, t in enumerate(texts))
    print(f"{right} of {len(texts)} texts are those of generate")


if __name__ == "__main__":
    main()
