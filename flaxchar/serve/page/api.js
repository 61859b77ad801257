// The JSON API: requests, and the events of a text that is being written.

export class Refused extends Error {}

async function sentence(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the server answered ${response.status}`;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("the server cannot be reached; is the command still running?");
  }
  if (!response.ok) throw new Refused(await sentence(response));
  return response;
}

function post(path, body, signal) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });
}

export async function get(path) {
  return (await ask(path)).json();
}

export async function send(path, body, signal) {
  return (await post(path, body, signal)).json();
}

// Write a text: calls `on[event](data)` for each of the events start, tokens and end.
export async function generate(body, on, signal) {
  const reader = (await post("generate", body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const [name, data] = event.split("\n");
      on[name.slice("event: ".length)](JSON.parse(data.slice("data: ".length)));
    }
  }
}

// Of calls that follow one another quickly, run the last one; a call that is still under way is given up.
export function latest(wait, run) {
  let timer = null;
  let controller = null;
  return () => {
    clearTimeout(timer);
    controller?.abort();
    timer = setTimeout(async () => {
      controller = new AbortController();
      const { signal } = controller;
      try {
        await run(signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }, wait);
  };
}
