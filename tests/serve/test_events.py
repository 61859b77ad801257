"""A text is sent in events of one line each, and its row is given back however the response ends."""

from __future__ import annotations

import asyncio

import pytest
from page_client import events as read_events

from flaxchar.serve.events import EventStream, event
from flaxchar.serve.streams import Ended, Token


def run(*what, gone_after=None):
    """The messages that a response sends, and how often the row was given back."""
    sent, closed = [], []

    async def respond():
        queue: asyncio.Queue = asyncio.Queue()
        for item in what:
            queue.put_nowait(item)

        async def receive():
            if gone_after is None:
                await asyncio.sleep(60)
            while len(sent) < gone_after:
                await asyncio.sleep(0.001)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            await asyncio.sleep(0)

        stream = EventStream(queue, {"prompt": "a", "notes": []}, lambda: closed.append(1))
        await asyncio.wait_for(stream({"type": "http"}, receive, send), timeout=20)

    asyncio.run(respond())
    return sent, len(closed)


def test_the_events_of_a_text():
    tokens = [Token("\n", 0.5, [("\n", 0.5), ("", 0.25)]), Token('"</script>\ud800', 0.25, [])]
    sent, closed = run(tokens, Ended("eos", [("", 1.0)]))
    assert sent[0]["status"] == 200
    assert [message["more_body"] for message in sent[1:]] == [True, True, False]
    told = read_events(b"".join(message["body"] for message in sent[1:]))
    assert [name for name, _ in told] == ["start", "tokens", "end"]
    first, second = told[1][1]["tokens"]
    assert (first["text"], first["bits"], first["alternatives"]) == ("\n", 1.0, [["\n", 0.5], ["", 0.25]])
    assert second["text"] == '"</script>\ud800'
    assert told[2][1] == {"reason": "eos", "alternatives": [["", 1.0]]}
    assert closed == 1


def test_the_row_is_given_back_when_the_reader_goes():
    sent, closed = run([Token("a", 1.0, [])], gone_after=3)
    assert len(sent) == 3
    assert closed == 1


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nevent: end\r\ndata: {}", "\u2028\u2029\x00", "a\n\nevent: end\ndata: {}"]
)
def test_no_text_can_begin_another_event(text):
    data = event("tokens", {"text": text})
    assert data.count(b"\n") == 3
    assert b"\r" not in data
    assert read_events(data) == [("tokens", {"text": text})]
