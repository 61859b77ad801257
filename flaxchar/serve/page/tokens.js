// Tokens on the page, and the list of alternatives that belongs to one. Text is always set as text, never as HTML.

const popover = document.getElementById("alternatives");
const NAMES = { "": "end of text", " ": "space", "\n": "line feed", "\t": "tab", "\u00a0": "no-break space" };
const MOST_BITS = 8;
const HOVER_WAIT = 120; // milliseconds, so that a pointer on its way to the list does not open another one
let owner = null;
let pinned = false; // whether the list was opened by a click or a key, and stays
let hovering = null;

// How a token is called where it stands alone.
export function nameOf(text) {
  if (text in NAMES) return NAMES[text];
  return /^\p{M}/u.test(text) ? `\u25cc${text}` : text;
}

export function percent(share) {
  if (share >= 0.9995) return "100 %";
  return share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
}

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// A token that opens its alternatives. `pick(alternative)` is called for the one that is chosen; null: none can be.
export function tokenSpan(token, pick) {
  const span = element("span", "token", token.text === "\n" ? "\u21b5\n" : token.text || "\u00b6");
  span.setAttribute("role", "button");
  span.setAttribute("aria-label", nameOf(token.text));
  span.tabIndex = -1;
  if (token.text === "") span.classList.add("end");
  if (token.picked) span.classList.add("picked");
  if (token.bits !== undefined) span.style.setProperty("--heat", Math.min(1, token.bits / MOST_BITS).toFixed(3));
  span.addEventListener("click", () => open(span, token, pick, true));
  span.addEventListener("pointerenter", (event) => {
    clearTimeout(hovering);
    if (event.pointerType === "mouse" && !pinned) hovering = setTimeout(() => open(span, token, pick, false), HOVER_WAIT);
  });
  span.addEventListener("pointerleave", () => {
    clearTimeout(hovering);
    if (!pinned) hovering = setTimeout(close, 3 * HOVER_WAIT);
  });
  span.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " " || event.key === "ArrowDown") {
      event.preventDefault();
      open(span, token, pick, true);
      popover.querySelector("button")?.focus();
    }
  });
  return span;
}

// One tab stop for all tokens of a text: the arrow keys move from one to the next.
export function moveByArrows(container) {
  container.addEventListener("keydown", (event) => {
    const tokens = [...container.querySelectorAll(".token[role=button]")];
    const at = tokens.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[event.key];
    if (at < 0 || to === undefined || !tokens[to]) return;
    event.preventDefault();
    tokens[at].tabIndex = -1;
    tokens[to].tabIndex = 0;
    tokens[to].focus();
  });
}

export function close() {
  owner?.classList.remove("shown");
  clearTimeout(hovering);
  owner = null;
  pinned = false;
  popover.hidden = true;
}

// Show other tokens in a container. The list closes if it belongs to one of those that go, also where it was opened while
// the new ones were on their way.
export function replaceTokens(container, ...spans) {
  if (container.contains(owner)) close();
  container.replaceChildren(...spans);
}

export function choice(text, share, own, pick) {
  const row = element(pick ? "button" : "div", "choice");
  if (pick) row.type = "button";
  if (own) row.classList.add("own");
  const bar = element("i");
  bar.style.setProperty("--share", share);
  row.append(element("b", "", text), bar, element("span", "", percent(share)));
  if (pick) row.addEventListener("click", pick);
  return row;
}

function open(span, token, pick, stays) {
  close();
  if (!span.isConnected) return; // the text is another one by now
  owner = span;
  pinned = stays;
  span.classList.add("shown");
  const own = token.probability ?? 2 ** -token.bits;
  const title = `${nameOf(token.text)}: ${percent(own)}, ${token.bits.toFixed(2)} bits`;
  popover.replaceChildren(element("p", "", title));
  for (const [text, share] of token.alternatives) {
    const chosen = pick && (() => { close(); pick(text, share); });
    popover.append(choice(nameOf(text), share, text === token.text, chosen));
  }
  if (pick) popover.append(element("p", "", "Choose one to go on from there."));
  popover.hidden = false;
  const box = span.getBoundingClientRect();
  const width = popover.offsetWidth;
  const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - width - 8));
  const below = box.bottom + popover.offsetHeight + 12 < window.innerHeight || box.top < popover.offsetHeight + 12;
  popover.style.left = `${left + window.scrollX}px`;
  popover.style.top = `${(below ? box.bottom + 4 : box.top - popover.offsetHeight - 4) + window.scrollY}px`;
}

popover.addEventListener("pointerenter", () => clearTimeout(hovering));
popover.addEventListener("pointerleave", () => { if (!pinned) close(); });
document.addEventListener("keydown", (event) => {
  if (popover.hidden) return;
  const rows = [...popover.querySelectorAll("button")];
  const at = rows.indexOf(document.activeElement);
  if (event.key === "Escape") {
    const back = owner;
    close();
    back?.focus();
    event.stopPropagation();
  } else if (at >= 0 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    rows[(at + (event.key === "ArrowDown" ? 1 : rows.length - 1)) % rows.length].focus();
  }
}, true);
document.addEventListener("pointerdown", (event) => {
  if (!popover.contains(event.target) && !event.target.closest?.(".token")) close();
});
