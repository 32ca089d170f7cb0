"use strict";
// The tree of prefixes and its search. Items lie in order of their SIDs, so that those of a prefix
// are a range [low, high), and a node of the tree is {depth, low, high}.

const CHUNK = 256; // children drawn at a time
const HITS = 50;

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children); // strings become text, never HTML
  return made;
};
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

const compact = (count) =>
  count.toLocaleString("en", count < 1e6 ? {} : { notation: "compact", maximumFractionDigits: 1 });

async function inflate(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function numbers(packed) {
  const planes = await inflate(packed);
  const values = new [, Uint8Array, Uint16Array, , Uint32Array][packed.bytes](packed.count);
  for (let plane = 0; plane < packed.bytes; plane++) {
    for (let i = 0; i < packed.count; i++) {
      values[i] += planes[plane * packed.count + i] * 2 ** (8 * plane);
    }
  }
  return values;
}

async function lines(packed) {
  if (!packed) return null;
  return new TextDecoder().decode(await inflate(packed)).split("\n");
}

class Items {
  static async read(data) {
    const items = new Items();
    items.data = data;
    items.listed = data.listed;
    items.tokens = await Promise.all(data.tokens.map(numbers));
    items.rows = await numbers(data.rows);
    items.stages = await numbers(data.stages);
    items.codes = await numbers(data.distortion);
    items.nearest = await Promise.all(data.nearest.map(numbers));
    items.keys = await lines(data.keys);
    items.texts = await lines(data.texts);
    items.moves = new Uint32Array(items.listed); // where an item's nearest SID stands
    for (let i = 0, moved = 0; i < items.listed; i++) {
      items.moves[i] = moved;
      if (items.stages[i] > 1) moved++;
    }
    return items;
  }
  key(i) {
    return this.keys ? this.keys[i] : `row ${this.rows[i]}`;
  }
  text(i) {
    return this.texts ? this.texts[i] : "";
  }
  sid(i) {
    return this.tokens.map((column) => column[i]).join("-");
  }
  prefix(node) {
    return this.tokens.slice(0, node.depth).map((column) => column[node.low]).join("-");
  }
  distortion(i) {
    const { low, high } = this.data.distortion;
    const code = this.codes[i];
    return code === 0 ? 0 : low * (high / low) ** ((code - 1) / 65534);
  }
  how(i) {
    const name = this.data.stage_names[this.stages[i] - 1];
    const distance = this.distortion(i).toPrecision(3);
    const parts = [`${name}, squared distance ${distance}`];
    if (this.stages[i] > 1) {
      const from = this.nearest.map((column) => column[this.moves[i]]).join("-");
      parts.push(", nearest is ", element("span", { class: "nobreak" }, from));
    }
    return parts;
  }
  nearestTo(node) {
    let best = node.low;
    for (let i = node.low + 1; i < node.high; i++) if (this.codes[i] < this.codes[best]) best = i;
    return best;
  }
  room(depth) {
    return this.data.sizes.slice(depth).reduce((product, size) => product * size, 1);
  }
  children(node) {
    const found = [];
    const column = this.tokens[node.depth];
    for (let low = node.low; low < node.high; ) {
      let high = low + 1;
      if (column) while (high < node.high && column[high] === column[low]) high++;
      found.push({ depth: node.depth + 1, low, high });
      low = high;
    }
    return found;
  }
  find(prefix) {
    let node = { depth: 0, low: 0, high: this.listed };
    for (const token of prefix) {
      const column = this.tokens[node.depth];
      node = this.children(node).find((child) => column[child.low] === token);
      if (!node) return null;
    }
    return node;
  }
}

class Tree {
  constructor(root, items) {
    this.root = root;
    this.items = items;
    this.nodes = new WeakMap();
    this.fill(root, { depth: 0, low: 0, high: items.listed }, 1);
    const first = root.querySelector("[role=treeitem]");
    if (first) first.tabIndex = 0;
    root.addEventListener("click", (event) => this.click(event));
    root.addEventListener("keydown", (event) => this.press(event));
  }

  fill(list, node, level) {
    const children = this.items.children(node);
    const largest = children.reduce((most, { low, high }) => Math.max(most, high - low), 1);
    let start = 0;
    list.draw = (until) => {
      if (until <= start) return;
      list.querySelector(":scope > .more")?.remove();
      const end = Math.min(children.length, Math.max(start + CHUNK, until));
      for (const child of children.slice(start, end)) list.append(this.draw(child, level, largest));
      start = end;
      const left = children.length - end;
      if (left > 0) {
        const more = element("li", { role: "treeitem", class: "more", tabindex: -1 });
        more.append(`Show more: ${left.toLocaleString("en")} left`);
        more.setAttribute("aria-level", level);
        list.append(more);
      }
    };
    list.places = children;
    list.draw(1);
  }

  draw(node, level, largest) {
    const { items } = this;
    const size = node.high - node.low;
    const made = element("li", { role: "treeitem", tabindex: -1, "aria-level": level });
    this.nodes.set(made, node);
    if (size === 1) {
      const i = node.low;
      const what = element("span", {}, element("span", { class: "key" }, items.key(i)), items.text(i));
      const sid = element("span", { class: "sid" }, items.sid(i));
      made.append(
        element("div", { class: "item" }, sid, what, element("span", { class: "how" }, ...items.how(i))),
      );
      made.setAttribute("aria-label", `${items.sid(i)}: ${items.key(i)} ${items.text(i)}`);
      return made;
    }
    const bar = element("i");
    bar.style.width = `${(100 * size) / largest}%`;
    const whole = items.listed === items.data.items && node.depth < items.data.levels;
    const room = whole ? ` of ${compact(items.room(node.depth))}` : "";
    const best = items.nearestTo(node);
    const name = items.prefix(node);
    made.append(
      element("div", { class: "node" },
        element("span", { class: "sid" }, name),
        element("span", { class: "bar", "aria-hidden": "true", title: "beside the fullest here" }, bar),
        element("span", { class: "count" }, `${plural(size, "item")}${room}`),
        element("span", { class: "sample" }, items.text(best) || items.key(best))),
    );
    made.setAttribute("aria-label", `${name}: ${plural(size, "item")}${room}`);
    made.setAttribute("aria-expanded", "false");
    return made;
  }

  open(entry, wanted) {
    if (!entry.hasAttribute("aria-expanded")) return;
    let list = entry.querySelector(":scope > ul");
    if (!list) {
      list = element("ul", { role: "group" });
      entry.append(list);
      this.fill(list, this.nodes.get(entry), Number(entry.getAttribute("aria-level")) + 1);
    }
    list.hidden = !wanted;
    entry.setAttribute("aria-expanded", String(wanted));
  }

  focus(entry) {
    for (const old of this.root.querySelectorAll('[tabindex="0"]')) old.tabIndex = -1;
    entry.tabIndex = 0;
    entry.focus();
  }

  act(entry) {
    if (entry.classList.contains("more")) {
      const list = entry.parentElement;
      const place = list.children.length - 1;
      list.draw(place + 1);
      this.focus(list.children[place]);
    } else {
      this.open(entry, entry.getAttribute("aria-expanded") !== "true");
    }
  }

  click(event) {
    const entry = event.target.closest("[role=treeitem]");
    if (!entry || String(getSelection())) return; // selecting a text is no click
    this.focus(entry);
    this.act(entry);
  }

  press(event) {
    const entry = event.target.closest("[role=treeitem]");
    if (!entry || event.altKey || event.ctrlKey || event.metaKey) return;
    const visible = () =>
      [...this.root.querySelectorAll("[role=treeitem]")].filter((one) => !one.closest("ul[hidden]"));
    const step = (by) => {
      const all = visible();
      return all[all.indexOf(entry) + by];
    };
    const opened = entry.getAttribute("aria-expanded");
    let next = null;
    if (event.key === "Enter" || event.key === " ") this.act(entry);
    else if (event.key === "ArrowDown") next = step(1);
    else if (event.key === "ArrowUp") next = step(-1);
    else if (event.key === "Home") next = visible()[0];
    else if (event.key === "End") next = visible().pop();
    else if (event.key === "ArrowRight" && opened === "false") this.open(entry, true);
    else if (event.key === "ArrowRight" && opened === "true") next = step(1);
    else if (event.key === "ArrowLeft" && opened === "true") this.open(entry, false);
    else if (event.key === "ArrowLeft") next = entry.parentElement.closest("[role=treeitem]");
    else return;
    event.preventDefault();
    if (next) this.focus(next);
  }

  // Opens whatever is above the items [low, high) and goes there.
  reveal({ low, high }) {
    let list = this.root;
    for (;;) {
      const place = list.places.findIndex((node) => node.low <= low && high <= node.high);
      if (place < 0) return;
      list.draw(place + 1);
      const entry = list.children[place];
      const node = list.places[place];
      const there = node.low === low && node.high === high;
      if (there || !entry.hasAttribute("aria-expanded")) {
        for (const old of this.root.querySelectorAll(".target")) old.classList.remove("target");
        entry.classList.add("target");
        if (there) this.open(entry, true);
        this.focus(entry);
        entry.firstElementChild.scrollIntoView({ block: "center" });
        return;
      }
      this.open(entry, true);
      list = entry.querySelector(":scope > ul");
    }
  }
}

// "12-5", "12 5", "12,5" and "<a_12><b_5>" are prefixes.
function readPrefix(query, most) {
  if (!/^\s*(?:<?(?:[a-z]_)?\d+>?[\s,-]*)+$/i.test(query)) return null;
  const tokens = query.match(/\d+/g).map(Number);
  return tokens.length <= most ? tokens : null;
}

function search(query, items, lowered) {
  const hits = [];
  const prefix = readPrefix(query, items.tokens.length);
  const node = prefix && items.find(prefix);
  if (node) {
    const says = node.high - node.low === 1 ? `${items.key(node.low)} ${items.text(node.low)}` : plural(node.high - node.low, "item");
    hits.push({ node, says: `${items.prefix(node)}: ${says}` });
  }
  const wanted = query.trim().toLowerCase();
  const exact = [], others = [];
  let total = 0;
  for (let i = 0; i < items.listed; i++) {
    const isKey = lowered.keys[i] === wanted;
    if (!isKey && !lowered.keys[i].includes(wanted) && !lowered.texts[i].includes(wanted)) continue;
    total++;
    if (isKey) exact.push(i);
    else if (others.length < HITS) others.push(i);
  }
  for (const i of [...exact, ...others].slice(0, HITS)) {
    const says = `${items.sid(i)}: ${items.key(i)} ${items.text(i)}`;
    hits.push({ node: { low: i, high: i + 1 }, says });
  }
  return { hits, total, prefix, node };
}

function listen(items, tree) {
  const input = document.getElementById("query");
  const found = document.getElementById("found");
  const list = document.getElementById("hits");
  let lowered = null;
  let wait = 0;
  let first = null;
  const look = () => {
    list.replaceChildren();
    list.dataset.of = input.value;
    first = null;
    found.textContent = "";
    if (!input.value.trim()) return;
    const all = Array.from({ length: items.listed }, (_, i) => i);
    lowered ??= {
      keys: all.map((i) => (items.keys ? items.keys[i] : String(items.rows[i])).toLowerCase()),
      texts: all.map((i) => items.text(i).toLowerCase()),
    };
    const { hits, total, prefix, node } = search(input.value, items, lowered);
    const shown = hits.length - (node ? 1 : 0);
    const parts = [];
    if (prefix) parts.push(`${node ? "The prefix" : "No item with the prefix"} ${prefix.join("-")}`);
    parts.push(`${plural(total, "item")} by key or text${total > shown ? `, the first ${shown} shown` : ""}`);
    found.textContent = `${parts.join("; ")}.`;
    first = hits[0];
    for (const hit of hits) {
      const button = element("button", { type: "button" }, hit.says);
      button.addEventListener("click", () => tree.reveal(hit.node));
      list.append(element("li", {}, button));
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(look, 150);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    clearTimeout(wait);
    look();
    if (first) tree.reveal(first.node);
  });
  input.disabled = false;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-sid]");
    const node = link && items.find(link.dataset.sid.split("-").map(Number));
    if (!node) return;
    event.preventDefault();
    tree.reveal(node);
  });
}

async function start() {
  const { items: data } = JSON.parse(document.getElementById("puresid-data").textContent);
  const found = document.getElementById("found");
  if (!data.tokens) return;
  if (typeof DecompressionStream === "undefined") {
    found.textContent = "The tree needs a browser of 2023 or later, which can unpack its data.";
    return;
  }
  found.textContent = "Unpacking …";
  const items = await Items.read(data);
  const tree = new Tree(document.getElementById("root"), items);
  listen(items, tree);
  found.textContent = "";
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  document.getElementById("found").textContent = `The tree cannot be shown: ${error.message}`;
  throw error;
});
