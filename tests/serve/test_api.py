"""The JSON API: what it writes, scores and classifies is what the library does; what it cannot do it says."""

from __future__ import annotations

import time

import pytest
from page_client import Client, text_of

import flaxchar


def test_a_text_is_that_of_generate(client, lm):
    asked = {"run": "plain", "prompt": "An", "temperature": 1.2, "top_p": 0.9, "min_p": 0.01, "top_k": 9, "size": 50}
    settings = {name: value for name, value in asked.items() if name not in ("run", "prompt")}
    for seed in (0, 7):
        assert client.write(**asked, seed=seed) == lm.generate("An", seed=seed, **settings)[0]


def test_a_text_goes_on_from_an_alternative(client):
    told = client.generate(run="plain", prompt="An", size=30)
    tokens = [token for name, data in told if name == "tokens" for token in data["tokens"]]
    other = next(text for text, _ in tokens[3]["alternatives"] if text and text != tokens[3]["text"])
    begin = "An" + "".join(token["text"] for token in tokens[:3]) + other
    assert client.write(run="plain", prompt=begin, size=40).startswith(begin)


def test_a_text_for_a_label(client, labelled):
    expected = labelled.generate(label="<b>a</b>", size=20)[0]
    assert client.write(run="labelled", label="<b>a</b>", size=20) == expected
    status, told = client.post("/generate", run="labelled")
    assert status == 400
    assert "say which with `label`" in told["error"]


def test_the_form_of_a_prompt_is_told(client):
    told = client.generate(run="plain", prompt="e\u0301a", size=6)
    assert told[0][1]["prompt"] == "éa"
    assert "NFC" in told[0][1]["notes"][0]


@pytest.mark.parametrize("text", ["Anna", "To be, or not to be", "<script>alert(1)</script>", "éa שלום"])
def test_a_score_is_that_of_the_library(client, lm, text):
    status, told = client.post("/score", run="plain", text=text)
    assert status == 200
    assert "".join(token["text"] for token in told["tokens"]) == text
    assert told["tokens"][-1]["text"] == ""
    assert told["bits_per_character"] == pytest.approx(lm.score([text])[0], rel=1e-4)
    assert sum(token["bits"] for token in told["tokens"]) == pytest.approx(
        told["bits_per_character"] * (len(text) + 1), abs=1e-2
    )
    assert all(len(token["alternatives"]) == 5 for token in told["tokens"])


def test_running_text_is_scored_without_an_end_and_its_last_state_is_told(client, runs):
    lm = flaxchar.load(runs["running"])
    status, told = client.post("/score", run="running", text="Ab\n", units=[[0, 2]], layer=0)
    assert status == 200
    assert "".join(token["text"] for token in told["tokens"]) == "Ab\n"
    assert told["bits_per_character"] == pytest.approx(lm.score(["Ab\n"])[0], rel=1e-4)
    assert told["tokens"][-1]["activations"] == [told["state"][2]]


@pytest.mark.parametrize("run", ["plain", "running"])
def test_unknown_characters_can_be_left_out_of_a_score_which_says_so(client, run):
    given = {"run": run, "units": [[0, 2]], "layer": 0}
    _, known = client.post("/score", text="To be", **given)
    status, told = client.post("/score", text="Toω beωψ", unknown="drop", **given)
    assert status == 200
    notes = told.pop("notes")
    assert notes == ["Left out 3 characters that the model has never seen: 'ω', 'ψ'."]
    assert (told, known.pop("notes")) == (known, [])


def test_the_activation_of_a_character_is_the_state_after_it(client, lm):
    from flaxchar.insight.trace import trace

    status, told = client.post("/score", run="plain", text="Hannah", units=[[0, 3], [1, 5]], layer=1)
    assert status == 200
    states = trace(lm, "Hannah").activations
    for k, token in enumerate(told["tokens"][:-1]):
        assert token["activations"] == pytest.approx([states[0, k + 1, 3], states[1, k + 1, 5]], abs=1e-3)
    assert told["state"] == pytest.approx(states[1, -1].tolist(), abs=1e-3)
    assert "activations" not in told["tokens"][-1]


def test_classification_is_that_of_the_library(client, runs):
    for kind in ("classifier", "labelled"):
        lm = flaxchar.load(runs[kind])
        status, told = client.post("/classify", run=kind, text="Hannah")
        assert status == 200
        result = lm.classify(["Hannah"])
        expected = dict(zip(result.names, result.probabilities[0], strict=False))
        assert told["probabilities"][0][0] == result.labels[0]
        assert dict(told["probabilities"]) == pytest.approx(expected, rel=1e-4)
        assert told["notes"] == []


@pytest.mark.filterwarnings("error")  # the server's log says nothing of it
def test_a_text_that_is_classified_in_another_form_is_told(client):
    told = client.post("/classify", run="labelled", text="Han\u202enah")[1]
    assert told["notes"] == ["1 text was taken without U+202E (right-to-left override), as the model knows it."]
    assert told["probabilities"] == client.post("/classify", run="labelled", text="Hannah")[1]["probabilities"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/generate", {"run": "classifier"}, "it cannot write text"),
        ("/score", {"run": "classifier", "text": "a"}, "it predicts no characters"),
        ("/classify", {"run": "plain", "text": "a"}, "the model knows no labels"),
        ("/generate", {"prompt": "ω"}, "a character that the model has never seen"),
        ("/generate", {"prompt": "\ud800"}, "a character that the model has never seen"),
        ("/score", {"text": "ω"}, "a character that the model has never seen"),
        ("/score", {"text": "a", "units": [[0, 12]]}, "there is no unit 12 in layer 0"),
        ("/score", {"text": "a", "units": [[2, 0]]}, "there is no unit 0 in layer 2"),
        ("/score", {"text": "a", "layer": 2}, "there is no unit 0 in layer 2"),
        ("/generate", {"prompt": "Anna", "size": 3}, "`size` is 3"),
        ("/generate", {"label": "b"}, "trained without labels"),
        ("/generate", {"source": "b"}, "trained without sources"),
        ("/generate", {"temperature": -1}, "`temperature` is -1"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(client, path, body, told):
    status, answer = client.post(path, **body)
    assert status == 400
    assert told in answer["error"]


def test_unknown_runs_and_addresses_are_told(client):
    for path, body in (("/generate", {"run": "x"}), ("/score", {"run": "../plain"}), ("/classify", {"run": ""})):
        status, answer = client.post(path, **body)
        assert (status, "there is no run of that name" in answer["error"]) == (404, True)
    assert client.get("/runs/x/curves")[0] == 404
    assert client.get("/../../etc/passwd")[0] == 404
    assert client.get("/page/index.html")[0] == 404
    assert client.get("/score") == (405, {"error": "this address takes no such request"})


def test_runs_and_curves(client):
    status, told = client.get("/runs")
    assert status == 200
    assert [run["name"] for run in told["runs"]] == ["plain", "labelled", "classifier", "running"]
    status, told = client.get("/runs/plain/curves")
    assert status == 200
    assert told["curves"]["training"] == [[0, 4.0]]
    assert told["curves"]["held_out"] == [[0, 3.5]]


def test_a_run_whose_file_cannot_be_read_is_told(client, runs):
    metrics = runs["plain"] / "metrics.jsonl"
    metrics.rename(metrics.with_suffix(".aside"))
    metrics.mkdir()
    try:
        status, told = client.get("/runs/plain/curves")
    finally:
        metrics.rmdir()
        metrics.with_suffix(".aside").rename(metrics)
    assert (status, told) == (500, {"error": f"{metrics} cannot be read: Is a directory"})


def test_the_page_is_served_whole(client):
    status, headers, page = client.ask("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    for name in ("page.css", "main.js", "icon.svg"):
        assert name.encode() in page
        assert client.ask("GET", f"/{name}")[0] == 200


def test_a_closed_connection_stops_the_text_and_frees_its_row(client, server, monkeypatch):
    connection = client.open()
    body = b'{"run": "plain", "size": 4000, "temperature": 0.01, "prompt": "To be"}'
    head = f"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    received = b""
    while b"event: start" not in received:  # the head may come first, alone
        data = connection.recv(4096)
        assert data, received
        received += data
    connection.close()
    deadline = time.monotonic() + 20
    while server.batcher.streams and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.batcher.streams == 0


@pytest.mark.slow
def test_fifty_texts_at_once_are_those_of_generate(server, lm):
    from concurrent.futures import ThreadPoolExecutor

    clients = Client(server.port)
    with ThreadPoolExecutor(50) as pool:
        texts = list(
            pool.map(lambda seed: text_of(clients.generate(run="plain", prompt="An", size=300, seed=seed)), range(50))
        )
    assert texts == [lm.generate("An", size=300, seed=seed)[0] for seed in range(50)]
