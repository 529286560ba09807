// The sandbox page. The server sends a whole snapshot after each change; `draw` brings the page in line
// with it. Everything that people wrote becomes text nodes, never markup.
"use strict";

const $ = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element: properties, `data-…`, `aria-…` and `class` as given, then its children. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && !key.includes("-")) node[key] = value;
    else node.setAttribute(key === "className" ? "class" : key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  return svg;
}

let state = null;
let customer = null; // key of the chosen customer
let chat = null; // external id of the chosen chat
const seen = new Map(); // customer key → how many messages of the business were there when last looked at
let customerReply = null;
let operatorReply = null;

// ---- Talking to the server ----

async function post(path, options) {
  try {
    const answer = await fetch(path, { method: "POST", ...options });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.error || "The sandbox refused it.");
    return body;
  } catch (error) {
    toast(error instanceof TypeError ? "The sandbox does not answer. Is it still running?" : error.message);
    return null;
  }
}
const act = (action) =>
  post("do", { headers: { "Content-Type": "application/json" }, body: JSON.stringify(action) });
const upload = (file, query) =>
  post("file?" + new URLSearchParams(query), {
    headers: { "Content-Type": query.kind === "voice" ? "audio/ogg; codecs=opus" : file.type || "application/octet-stream", "X-Sandbox": "1" },
    body: file,
  });

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), 5000);
}

function live(now, text) {
  $("live").dataset.state = now;
  $("live").lastElementChild.textContent = text;
}
const events = new EventSource("events");
events.addEventListener("open", () => live("on", "live"));
events.addEventListener("error", () => live("off", "not connected"));
events.addEventListener("state", (event) => {
  state = JSON.parse(event.data);
  live("on", "bridge at " + state.bridge.replace(/^https?:\/\//, ""));
  draw();
});
events.addEventListener("strip", (event) => crossed(JSON.parse(event.data)));

// ---- Text: WhatsApp's marks on the left, BBCode on the right ----

function safeUrl(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:", "tel:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
function link(href, ...children) {
  const safe = safeUrl(href);
  return safe ? el("a", { href: safe, target: "_blank", rel: "noopener noreferrer" }, ...children) : el("span", {}, ...children);
}
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"|]+[^\s<>"|.,;:!?)\]])/).map((part, at) => (at % 2 ? link(part, part) : part));
}

const MARKS = [
  [/```([\s\S]+?)```/, "code"],
  [/`([^`\n]+)`/, "code"],
  [/(?<![\p{L}\p{N}*])\*(?!\s)([^*\n]+?)(?<!\s)\*(?![\p{L}\p{N}*])/u, "strong"],
  [/(?<![\p{L}\p{N}_])_(?!\s)([^_\n]+?)(?<!\s)_(?![\p{L}\p{N}_])/u, "em"],
  [/(?<![\p{L}\p{N}~])~(?!\s)([^~\n]+?)(?<!\s)~(?![\p{L}\p{N}~])/u, "s"],
];
function whatsapp(text) {
  let first = null;
  for (const [mark, tag] of MARKS) {
    const found = mark.exec(text);
    if (found && (!first || found.index < first.found.index)) first = { found, tag };
  }
  if (!first) return linked(text);
  const { found, tag } = first;
  return [
    ...linked(text.slice(0, found.index)),
    el(tag, {}, ...(tag === "code" ? [found[1]] : whatsapp(found[1]))),
    ...whatsapp(text.slice(found.index + found[0].length)),
  ];
}

const FRAME = /^-{54}$/;
/** The quotes of the portal (a block in two lines of 54 hyphens, lines with >>), BBCode in between. */
function portalText(text) {
  const out = [];
  const lines = text.split("\n");
  let plain = [];
  const flush = () => {
    if (plain.length) out.push(...bbcode(plain.join("\n")));
    plain = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const end = FRAME.test(lines[at].trim()) ? lines.findIndex((line, i) => i > at && FRAME.test(line.trim())) : -1;
    if (end > at) {
      flush();
      const inner = lines.slice(at + 1, end);
      const header = inner.length > 1 && /^(.*?) \[[^\]]*\](?: #\S+)?$/.exec(inner[0].trim());
      out.push(el("blockquote", {}, header && el("cite", {}, ...bbcode(header[1])), ...bbcode((header ? inner.slice(1) : inner).join("\n"))));
      at = end;
    } else if (lines[at].startsWith(">>")) {
      flush();
      const from = at;
      while (at + 1 < lines.length && lines[at + 1].startsWith(">>")) at++;
      out.push(el("blockquote", {}, ...bbcode(lines.slice(from, at + 1).map((line) => line.slice(2).trimStart()).join("\n"))));
    } else plain.push(lines[at]);
  }
  flush();
  return out;
}

const TAGS = { b: "b", i: "i", u: "u", s: "s", code: "code", quote: "blockquote", url: "a", color: "span", size: "span", user: "span", chat: "span", send: "span", put: "span", call: "span", img: "span" };
function bbcode(text) {
  const root = { children: [] };
  const open = [root];
  const top = () => open[open.length - 1];
  const say = (words) => words && top().children.push(...(open.some((o) => o.tag === "url" || o.tag === "code") ? [words] : linked(words)));
  const close = () => {
    const done = open.pop();
    top().children.push(build(done));
  };
  const pattern = /\[(\/?)([a-z]+)(?:=([^\]\n]*))?\]/gi;
  let last = 0;
  for (const found of text.matchAll(pattern)) {
    const tag = found[2].toLowerCase();
    const inCode = open.some((o) => o.tag === "code");
    const known = tag === "br" || (TAGS[tag] && (!inCode || (found[1] && tag === "code")));
    const matched = !found[1] || open.some((o) => o.tag === tag);
    if (!known || !matched) continue;
    say(text.slice(last, found.index));
    last = found.index + found[0].length;
    if (tag === "br") top().children.push("\n");
    else if (!found[1]) open.push({ tag, argument: found[3] || "", raw: found[0], children: [] });
    else {
      while (top().tag !== tag) close();
      close();
    }
  }
  say(text.slice(last));
  while (open.length > 1) {
    // A tag that nobody closed stays as it was typed.
    const left = open.pop();
    top().children.push(left.raw, ...left.children);
  }
  return root.children;
}
function build({ tag, argument, children }) {
  if (tag === "url") return link(argument || children.map((child) => child.textContent ?? child).join(""), ...children);
  if (tag === "img") return link(children.map((child) => child.textContent ?? child).join(""), ...children);
  const node = el(TAGS[tag], {}, ...children);
  if (tag === "color" && /^(#[0-9a-f]{3,8}|[a-z]{3,20})$/i.test(argument)) node.style.color = `color-mix(in srgb, ${argument} 65%, var(--ink))`;
  return node;
}

// ---- Drawing ----

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });
const size = (bytes) => (bytes < 1024 ? bytes + " B" : bytes < 1048576 ? Math.round(bytes / 1024) + " KB" : (bytes / 1048576).toFixed(1) + " MB");
const initials = (name) => name.split(/\s+/).map((word) => word[0] || "").join("").slice(0, 2).toUpperCase() || "?";
const hue = (name) => [...name].reduce((sum, c) => sum + c.codePointAt(0), 0) % 4;
const KINDS = { image: "📷 Photo", video: "🎥 Video", audio: "🎤 Voice message", document: "📄 Document", sticker: "Sticker", location: "📍 Location", contacts: "👤 Contact" };

/** Keeps nodes whose content is the same, so that players play on and nothing flickers. */
function reconcile(list, items, make) {
  const kept = new Map(all(":scope > [data-key]", list).map((node) => [node.dataset.key, node]));
  if (list.dataset.of !== list.dataset.was) list.left = false;
  const nodes = items.map((item) => {
    const sign = JSON.stringify(item);
    let node = kept.get(item.key);
    if (!node || node.sign !== sign) {
      const fresh = make(item);
      if (!node && list.dataset.was === list.dataset.of) {
        fresh.classList.add("new");
        fresh.addEventListener("animationend", () => fresh.classList.remove("new"), { once: true });
      }
      if (node?.contains(document.activeElement)) queueMicrotask(() => fresh.querySelector(".act")?.focus());
      node = fresh;
      node.sign = sign;
      node.dataset.key = item.key;
    }
    return node;
  });
  if (nodes.length !== list.children.length || nodes.some((node, at) => list.children[at] !== node)) {
    const wanted = new Set(nodes);
    for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
    nodes.forEach((node, at) => list.children[at] === node || list.insertBefore(node, list.children[at] || null));
  }
  if (!list.left) list.scrollTop = list.scrollHeight;
  list.dataset.was = list.dataset.of;
}
/** A list stays at its end, whatever grows in it, until somebody scrolls up. */
for (const list of [$("chat"), $("line-log")]) {
  let top = 0, height = 0;
  list.addEventListener("scroll", () => {
    if (list.scrollHeight - list.scrollTop - list.clientHeight < 80) list.left = false;
    else if (list.scrollTop < top && list.scrollHeight === height) list.left = true;
    [top, height] = [list.scrollTop, list.scrollHeight];
  });
}
/** For what gets its height late, as a picture. */
function settle(list) {
  return () => list.left || (list.scrollTop = list.scrollHeight);
}

function draw() {
  if (!state) return;
  const people = state.customers;
  if (!people.some((one) => one.key === customer)) choose(people[0]?.key ?? null, false);
  const now = people.find((one) => one.key === customer);
  if (now && !document.hidden) seen.set(now.key, now.messages.filter((m) => !m.mine).length);
  drawPeople(people);
  drawPhone(now);
  drawLine(now);
  drawCalls(now);
  drawCrm();
  drawFaults();
  const { webhooks, events: portalEvents } = state.waiting;
  $("waiting").textContent = webhooks + portalEvents ? `${webhooks + portalEvents} on the way` : "";
}

function choose(key, redraw = true) {
  if (key !== customer) reply("customer", null);
  customer = key;
  chat = null;
  if (redraw) draw();
}

function drawPeople(people) {
  const box = $("customers");
  const items = people.map((one) => {
    const unread = one.messages.filter((m) => !m.mine).length - (seen.get(one.key) ?? 0);
    return { key: one.key, name: one.name || "Unknown", detail: one.detail, on: one.key === customer, unread: Math.max(0, unread) };
  });
  const focused = box.contains(document.activeElement);
  reconcile(box, items, (one) =>
    el("button", { type: "button", role: "radio", "aria-checked": String(one.on), tabIndex: one.on ? 0 : -1, "data-customer": one.key, title: `${one.name}, ${one.detail}`, onclick: () => choose(one.key) },
      el("span", { className: "avatar", "data-hue": hue(one.name), "aria-hidden": "true" }, initials(one.name)),
      el("span", { className: "who" }, el("strong", {}, one.name.split(" ")[0]), el("small", {}, one.detail)),
      one.unread > 0 && el("span", { className: "badge unread", "aria-label": one.unread + " unread" }, String(one.unread))));
  if (focused) box.querySelector("[aria-checked=true]")?.focus();
}

function drawPhone(now) {
  const { name, number } = state.business;
  $("business-name").textContent = name || number || "Business";
  $("business-detail").textContent = `business account · ${number}`;
  document.querySelector(".avatar.business").textContent = initials(name || "B");
  $("is-online").checked = now?.online ?? true;
  $("permits-calls").checked = now?.permits_calls ?? false;
  $("is-open").checked = now?.open ?? false;
  $("is-window").checked = Boolean(now?.window_until);
  const list = $("chat");
  list.dataset.of = customer;
  reconcile(list, days(now?.messages ?? [], (m) => (m.mine ? "c" : "b"), {
    title: "Start here",
    text: `Write to ${name || "the business"} as ${now?.name || "the customer"}, or tap one of the samples below.`,
  }), (item) => item.day ? el("li", { className: "day" }, item.day) : item.empty ? empty(item.empty) : bubble(item));
}
function empty({ title, text }) {
  return el("li", { className: "empty" }, el("strong", {}, title), text);
}
/** Messages with a mark where a day or another author begins. */
function days(messages, author, nothing) {
  if (!messages.length) return [{ key: "empty", empty: nothing }];
  const items = [];
  let lastDay = "", lastAuthor = "";
  for (const message of messages) {
    const today = day.format(new Date(message.at));
    if (today !== lastDay) items.push({ key: "day " + today, day: today });
    const who = author(message);
    items.push({ ...message, key: message.id, after: who !== lastAuthor || today !== lastDay });
    lastDay = today;
    lastAuthor = who;
  }
  return items;
}

const STATUS = { accepted: "clock", sent: "check", delivered: "checks", read: "checks", played: "checks" };
function bubble(m) {
  const list = $("chat");
  const sticker = m.kind === "sticker" && !m.deleted;
  const parts = [];
  if (m.deleted) parts.push(el("span", { className: "text" }, icon("no"), m.mine ? "You deleted this message" : "This message was deleted"));
  else {
    if (m.referral) parts.push(el("span", { className: "quoted ad" }, el("strong", {}, "📣 " + (m.referral.headline || "From an ad")), el("span", {}, m.referral.body || m.referral.source_url || "")));
    if (m.quote) parts.push(quoted(m.quote));
    if (m.media) parts.push(media(m, list));
    if (m.place) parts.push(place(m.place));
    for (const card of Array.isArray(m.cards) ? m.cards : []) parts.push(contactCard(card));
    if (m.kind === "unsupported") parts.push(el("em", { className: "text" }, m.text));
    else if (m.text) parts.push(el("span", { className: "text" }, ...whatsapp(m.text)));
    if (m.choices?.length) parts.push(choices(m));
    if (!parts.length) parts.push(el("em", { className: "text" }, m.kind));
  }
  const status = `${m.mine ? "" : "as Meta reports it: "}${m.status}`;
  return el("li", { className: ["bubble", m.mine && "mine", m.after && "after", m.deleted && "deleted", sticker && "sticker-only", m.reactions.length && "reacted"].filter(Boolean).join(" "), "data-id": m.id, "data-kind": m.kind, "data-status": m.status, "data-mine": String(m.mine) },
    ...parts,
    el("div", { className: "meta" }, m.edited && !m.deleted && "Edited", el("time", { dateTime: m.at }, clock.format(new Date(m.at))),
      !m.deleted && el("span", { className: "tick", "data-status": m.status, role: "img", "aria-label": status, title: status }, icon(STATUS[m.status] || "check"))),
    m.reactions.length > 0 && el("span", { className: "reactions", "aria-label": "Reactions" }, m.reactions.map((r) => r.emoji).join(" ")),
    !m.deleted && el("button", { type: "button", className: "act", "aria-label": "React, reply and more", "aria-haspopup": "menu", onclick: (event) => bubbleMenu(event.currentTarget, m) }, icon("down")));
}
function quoted(q) {
  const who = q.mine ? "You" : state.business.name || "Business";
  // Without its marks, and without links: it stands in a button.
  const text = q.text && el("span", {}, ...whatsapp(q.text)).textContent;
  return el("button", { type: "button", className: "quoted", onclick: () => jump($("chat"), q.id) }, el("strong", {}, who), el("span", {}, text || KINDS[q.kind] || q.kind));
}
function jump(list, id) {
  const target = all("[data-id]", list).find((node) => node.dataset.id === id);
  target?.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  target?.animate?.([{ filter: "brightness(.85)" }, { filter: "none" }], 900);
}
function media(m, list) {
  const type = m.media.mime.split(";")[0];
  const name = m.media.name || KINDS[m.kind] || "File";
  if (m.kind === "image" || m.kind === "sticker" || (m.kind === "template" && type.startsWith("image/"))) return picture(m.media.url, m.kind === "sticker" ? "Sticker" : m.text || "Picture", list);
  if (m.kind === "video" || (m.kind === "template" && type.startsWith("video/"))) return el("video", { className: "picture", controls: true, preload: "metadata", src: m.media.url, "aria-label": "Video", onloadedmetadata: settle(list) });
  if (m.kind === "audio") return el("div", { className: "voice" + (m.heard ? " heard" : "") }, m.voice && icon("mic"),
    el("audio", { controls: true, preload: "metadata", src: m.media.url, "aria-label": m.voice ? "Voice note" : "Audio", onplay: () => !m.mine && m.voice && !m.heard && act({ do: "played", message: m.id }) }));
  return documentLink(m.media.url, name, type, m.media.size);
}
function picture(url, alt, list, type) {
  return el("a", { href: url, target: "_blank", rel: "noopener" }, el("img", { className: "picture", src: url, alt, "data-type": type, onload: settle(list) }));
}
function documentLink(url, name, type, bytes) {
  return el("a", { className: "document", href: url, download: name }, icon("file"), el("span", { className: "who" }, el("strong", {}, name), el("small", {}, `${type} · ${size(bytes)}`)));
}
function place(p) {
  return el("div", { className: "place" }, icon("pin"), el("span", { className: "who" }, el("strong", {}, p.name || "Location"), p.address && el("small", {}, p.address), el("small", {}, `${p.latitude}, ${p.longitude}`)));
}
function contactCard(card) {
  const phones = (card.phones || []).map((phone) => phone.phone).filter(Boolean).join(", ");
  return el("div", { className: "card" }, icon("person"), el("span", { className: "who" }, el("strong", {}, card.name?.formatted_name || "Contact"), el("small", {}, phones)));
}
function choices(m) {
  return el("div", { className: "choices", role: "group", "aria-label": "Answers" }, m.choices.map((c) =>
    c.url ? link(c.url, c.title) : c.id === undefined ? el("span", {}, c.title) : el("button", { type: "button", onclick: () => act({ do: "press", customer, message: m.id, id: String(c.id), title: String(c.title), list: c.list, template: Boolean(c.template) }) }, c.title)));
}

function drawLine(now) {
  const chats = state.chats;
  if (!chats.some((one) => one.id === chat)) chat = now?.chat ?? null;
  const open = chats.find((one) => one.id === chat);
  const matched = state.customers.some((one) => one.chat === chat);
  $("client-name").textContent = open ? open.name || open.title : "No conversation yet";
  const line = state.line;
  $("line-name").textContent = `${line.name || "Open line " + line.id} · ${line.active ? "connected" : "not connected yet"}${open && !open.open ? " · dialog finished" : ""}`;
  $("line-name").classList.toggle("bad", !line.active);
  const select = $("chats");
  select.hidden = chats.length < 2 && (matched || !chats.length);
  const options = chats.map((one) => [one.id, one.name || one.title]);
  const sign = JSON.stringify([options, chat]);
  if (select.sign !== sign) {
    select.replaceChildren(...(chat ? [] : [el("option", { value: "", disabled: true }, "Choose…")]), ...options.map(([id, name]) => el("option", { value: id }, name)));
    select.value = chat ?? "";
    select.sign = sign;
  }
  $("line").classList.toggle("idle", !open);
  for (const control of all(".desk button, .desk textarea, .desk input, .samples button", $("line"))) control.disabled = !open;
  for (const item of all("#line-menu button")) item.disabled = !open;
  $("templates").disabled = !open;
  drawTemplates(now);
  const list = $("line-log");
  list.dataset.of = chat;
  reconcile(list, days(open?.messages ?? [], (m) => m.who + m.name, {
    title: now ? `Nothing from ${now.name} yet` : "No conversation yet",
    text: "When the customer writes, the conversation opens here as an operator of the contact center sees it.",
  }), (item) => item.day ? el("li", { className: "day" }, item.day) : item.empty ? empty(item.empty) : entry(item, list));
}

/** The templates of the account; choosing one puts its line into the operator's box. */
function drawTemplates(now) {
  const select = $("templates");
  const sign = JSON.stringify(state.templates);
  if (select.sign !== sign) {
    select.sign = sign;
    select.replaceChildren(el("option", { value: "" }, "Template…"), ...state.templates.map((one) =>
      el("option", { value: one.line, disabled: one.status !== "APPROVED" || !one.line }, one.status === "APPROVED" ? one.name : `${one.name}: ${one.status.toLowerCase()}`)));
  }
  select.hidden = !state.templates.length;
  const open = Boolean(now?.window_until);
  $("close-window").disabled = !open;
  $("close-window").textContent = open ? "Close the 24-hour window" : "The 24-hour window is closed";
}

/** The CRM: its senders, and what became of what it sent. */
function drawCrm() {
  const form = $("sms-form");
  const { senders, sent, counts } = state.sms;
  const options = (select, sign, children) => {
    if (select.sign === sign) return;
    const chosen = select.value;
    select.sign = sign;
    select.replaceChildren(...children);
    if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
  };
  options(form.elements.code, JSON.stringify(senders), senders.map((one) => el("option", { value: one.code }, one.name)));
  options($("sms-templates"), JSON.stringify(state.templates), [el("option", { value: "" }, "Template…"), ...state.templates.map((one) =>
    el("option", { value: one.line, disabled: one.status !== "APPROVED" || !one.line }, one.status === "APPROVED" ? one.name : `${one.name}: ${one.status.toLowerCase()}`))]);
  const phones = state.customers.filter((one) => one.detail.startsWith("+"));
  options($("sms-phones"), JSON.stringify(phones.map((one) => one.detail)), phones.map((one) => el("option", { value: one.detail }, one.name)));
  for (const button of [$("sms-send"), $("sms-robot")]) button.disabled = !senders.length;
  $("sms-counts").textContent = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(" · ");
  const list = $("sms-list");
  const top = list.scrollTop;
  list.dataset.of = "crm";
  reconcile(list, sent.length ? sent.map((one) => ({ ...one, key: one.id })) : [{ key: "empty", nothing: true }], (one) =>
    one.nothing ? el("li", { className: "empty" }, senders.length ? "Nothing sent yet." : "The number is no SMS sender of the portal.")
      : el("li", { "data-status": one.status }, el("span", {}, one.to, " ", el("small", {}, one.author ? "by a person" : "by a robot")),
        el("b", { "data-status": one.status }, one.status), el("span", { className: "text", title: one.body }, one.body)));
  // The newest stand above; whoever reads further down is not moved.
  list.scrollTop = top;
}
async function sms(action, more) {
  const form = $("sms-form");
  if (!form.reportValidity()) return;
  const { code, to, text } = Object.fromEntries(new FormData(form));
  if (await act({ do: action, code, to, text, ...more })) $("sms-list").scrollTop = 0;
}

function entry(m, list) {
  const note = m.who === "operator" && !m.sending && !m.delivered;
  const files = m.files.map((file) => {
    const type = file.mime.split(";")[0];
    if (type.startsWith("image/")) return picture(file.url, file.name, list, type);
    if (type.startsWith("video/")) return el("video", { className: "picture", controls: true, preload: "metadata", src: file.url, "aria-label": file.name, onloadedmetadata: settle(list) });
    if (type.startsWith("audio/")) return el("audio", { controls: true, preload: "metadata", src: file.url, "aria-label": file.name });
    return documentLink(file.url, file.name, type, file.size);
  });
  const sending = m.who === "operator" && m.sending;
  const said = m.who === "operator" ? (sending ? "sending" : note ? "for colleagues only" : "sent to WhatsApp") : "";
  return el("li", { className: ["entry", m.who, m.deleted && "deleted", note && "note"].filter(Boolean).join(" "), "data-id": m.id, "data-who": m.who, "data-sending": String(sending) },
    m.who === "client" && el("span", { className: "avatar", "data-hue": hue(m.name), "aria-hidden": "true" }, initials(m.name)),
    el("div", { className: "box" },
      el("span", { className: "name" }, m.name + (note ? " · for colleagues" : "")),
      files.length > 0 && el("div", { className: "files" }, ...files),
      m.text && el("div", { className: "text" }, ...portalText(m.text)),
      el("div", { className: "meta" }, m.deleted ? "Deleted" : m.edited && "Edited", el("time", { dateTime: m.at }, clock.format(new Date(m.at))),
        said && el("span", { className: "tick", "data-status": sending ? "sending" : note ? "note" : "sent", role: "img", "aria-label": said, title: said }, sending ? el("span", { className: "spin" }) : !note && icon("check"))),
      el("button", { type: "button", className: "act", "aria-label": "Quote", title: "Quote", onclick: () => reply("operator", m) }, icon("reply"))));
}

// ---- Calls ----

const STAGES = { calling: "calling…", ringing: "ringing…", answered: "in a call" };
const CODES = { 200: "answered", 304: "missed", 603: "declined", "603-S": "cancelled", 486: "busy" };
function callBar(box, call, label, buttons) {
  box.hidden = !call;
  const sign = JSON.stringify([call, label]);
  if (!call || box.sign === sign) return;
  box.sign = sign;
  box.dataset.stage = call.stage;
  box.replaceChildren(icon("call"), el("span", { className: "who" }, el("strong", {}, label), el("small", {}, STAGES[call.stage] || call.outcome)),
    ...buttons.map(([name, kind, action]) => el("button", { type: "button", className: kind, onclick: () => act(action) }, name)));
}
function drawCalls(now) {
  const calls = state.calls;
  for (const id of ["call", "dial", "permits"]) $(id).hidden = !calls;
  if (!calls) return;
  const mine = calls.customers.find((one) => one.customer === now?.key);
  $("call").disabled = Boolean(mine) && mine.stage !== "ended";
  const rings = mine?.incoming && mine.stage === "ringing";
  callBar($("customer-call"), mine, state.business.name || "Business", rings ? [["Answer", "green", { do: "pick_up", call: mine.id }], ["Decline", "red", { do: "hang_up", call: mine.id }]]
    : mine && mine.stage !== "ended" ? [["Hang up", "red", { do: "hang_up", call: mine.id }]] : []);
  const open = calls.agents.find((one) => one.stage !== "ended") ?? calls.agents[0];
  $("dial").disabled = calls.agents.some((one) => one.outgoing && one.stage !== "ended");
  const actions = !open || open.stage === "ended" ? [] : open.outgoing ? [["Hang up", "red", { do: "end_call", call: open.id }]] : open.stage === "ringing" ? [["Answer", "green", { do: "answer_call", call: open.id }], ["Decline", "red", { do: "decline_call", call: open.id }]]
    : open.stage === "answered" ? [["Hang up", "red", { do: "end_call", call: open.id }]] : [];
  callBar($("agent-call"), open, open?.from || "WhatsApp call", actions);
  const card = calls.cards[0];
  const box = $("call-card");
  box.hidden = !card;
  const sign = JSON.stringify(card ?? null);
  if (!card || box.sign === sign) return;
  box.sign = sign;
  box.dataset.open = String(card.open_at.length > 0);
  const end = card.end && `${CODES[card.end.code] || card.end.code}${card.end.seconds ? ` · ${card.end.seconds} s` : ""} · ${card.end.user}`;
  box.replaceChildren(icon("person"), el("span", { className: "who" },
    el("strong", {}, `${card.incoming ? "Incoming" : "Outgoing"} call ${card.number}`),
    el("small", {}, [card.entity ? card.entity.toLowerCase() : "not in the CRM", card.open_at.length ? `card open at ${card.open_at.join(", ")}` : end || "card hidden"].join(" · "))));
}
$("call").addEventListener("click", () => act({ do: "call", customer }));
// Whom the shown conversation is with, else whose phone is shown.
$("dial").addEventListener("click", () => act({ do: "dial", customer: state.customers.find((one) => one.chat && one.chat === chat)?.key ?? customer }));
$("permits-calls").addEventListener("change", (event) => act({ do: "permit_calls", customer, on: event.target.checked }).then(draw));

// ---- Replies and the menu of a bubble ----

function reply(side, m) {
  const bar = $(side + "-reply");
  const about = m && { id: m.id, who: side === "customer" ? (m.mine ? "You" : state.business.name) : m.name, text: plainText(m) };
  if (side === "customer") customerReply = about;
  else operatorReply = about;
  bar.hidden = !about;
  bar.replaceChildren();
  if (!about) return;
  bar.append(
    el("div", { className: "quoted" }, el("strong", {}, about.who), el("span", {}, about.text)),
    el("button", { type: "button", className: "icon", "aria-label": "Do not quote", onclick: () => reply(side, null) }, icon("close")));
  $(side + "-text").focus();
}
function plainText(m) {
  const text = (m.text || "").split(/^-{54}$/m).pop().replace(/\[\/?[a-z]+(=[^\]]*)?\]/gi, "").trim();
  return text || KINDS[m.kind] || m.files?.[0]?.name || "…";
}

const EMOJIS = ["👍", "❤️", "😂", "😮", "😢", "🙏"];
let menuFor = null;
function bubbleMenu(anchor, m) {
  menuFor = m;
  const menu = $("bubble-menu");
  const mine = m.reactions.find((r) => r.mine)?.emoji;
  all(".emojis button", menu).forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === mine)));
  const editable = m.mine && ["text", "image", "video", "document"].includes(m.kind);
  menu.querySelector('[data-bubble="edit"]').hidden = !editable;
  menu.querySelector('[data-bubble="delete"]').hidden = !m.mine;
  open(menu, anchor);
}
function open(menu, anchor) {
  menu.showPopover();
  const at = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = Math.max(8, Math.min(at.left, innerWidth - width - 8)) + "px";
  const below = at.bottom + 4 + height < innerHeight;
  menu.style.top = Math.max(8, below ? at.bottom + 4 : at.top - height - 4) + "px";
}
for (const emoji of EMOJIS) {
  document.querySelector("#bubble-menu .emojis").append(el("button", { type: "button", "aria-label": "React with " + emoji, onclick: () => {
    $("bubble-menu").hidePopover();
    const same = menuFor.reactions.some((r) => r.mine && r.emoji === emoji);
    act({ do: "react", customer, message: menuFor.id, emoji: same ? "" : emoji });
  } }, emoji));
}
let editing = null;
for (const button of all("[data-bubble]")) button.addEventListener("click", () => {
  $("bubble-menu").hidePopover();
  if (button.dataset.bubble === "reply") reply("customer", menuFor);
  if (button.dataset.bubble === "delete") act({ do: "delete", customer, message: menuFor.id });
  if (button.dataset.bubble === "edit") {
    reply("customer", menuFor);
    $("customer-reply").querySelector("strong").textContent = "Edit";
    editing = menuFor.id;
    $("customer-text").value = menuFor.text;
  }
});
for (const button of all("[popovertarget]")) button.addEventListener("click", () => {
  const menu = $(button.getAttribute("popovertarget"));
  queueMicrotask(() => menu.matches(":popover-open") && open(menu, button));
});

// ---- Composers ----

async function say() {
  const box = $("customer-text");
  const text = box.value;
  if (!text.trim()) return;
  box.value = "";
  const about = customerReply;
  const edited = editing && about?.id === editing;
  editing = null;
  reply("customer", null);
  $("chat").scrollTop = $("chat").scrollHeight;
  const done = await act(edited ? { do: "edit", customer, message: about.id, text } : { do: "say", customer, text, reply_to: about?.id ?? "" });
  if (!done) box.value ||= text;
}
async function write(how = "write") {
  const box = $("operator-text");
  const text = box.value;
  if (!text.trim()) return;
  box.value = "";
  const about = operatorReply;
  reply("operator", null);
  $("line-log").scrollTop = $("line-log").scrollHeight;
  const action = { do: how, chat, text };
  if (how === "write") action.reply_to = about?.id ?? "";
  if (!(await act(action))) box.value ||= text;
}
for (const [form, send] of [["customer-form", say], ["operator-form", () => write()]]) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $(form).querySelector("textarea").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
    if (event.key === "Escape") reply(form.split("-")[0], null);
  });
}
for (const button of all("[data-tag]")) button.addEventListener("click", () => {
  const box = $("operator-text");
  const { selectionStart: from, selectionEnd: to, value } = box;
  const tag = button.dataset.tag;
  const inner = value.slice(from, to);
  const before = tag === "url" ? "[url=https://example.com]" : `[${tag}]`;
  box.setRangeText(before + inner + `[/${tag}]`, from, to, "end");
  box.focus();
  box.setSelectionRange(from + before.length, from + before.length + inner.length);
});
for (const button of all("[data-sample]")) button.addEventListener("click", () => act({ do: "sample", customer, name: button.dataset.sample }));
for (const button of all("[data-reply]")) button.addEventListener("click", () => act({ do: "write", chat, text: button.dataset.reply }));
for (const button of all("[data-send]:not(.fault)")) button.addEventListener("click", () => act({ do: "send_sample", chat, name: button.dataset.send }));
for (const input of all("#attach-menu input")) input.addEventListener("change", async () => {
  $("attach-menu").hidePopover();
  const file = input.files[0];
  if (!file) return;
  let kind = input.dataset.kind;
  if (kind === "auto") kind = file.type.startsWith("video/") ? "video" : file.type.startsWith("image/") ? "image" : "document";
  const box = $("customer-text");
  const captioned = ["image", "video", "document"].includes(kind);
  const text = captioned ? box.value.trim() : "";
  const done = await upload(file, { customer, kind, name: file.name, text, reply_to: customerReply?.id ?? "" });
  input.value = "";
  if (done) {
    if (captioned) box.value = "";
    reply("customer", null);
  }
});
$("operator-file").addEventListener("change", async () => {
  const input = $("operator-file");
  const file = input.files[0];
  if (!file) return;
  const box = $("operator-text");
  const done = await upload(file, { chat, name: file.name, text: box.value.trim(), reply_to: operatorReply?.id ?? "" });
  input.value = "";
  if (done) {
    box.value = "";
    reply("operator", null);
  }
});
for (const button of all("[data-open]")) button.addEventListener("click", () => {
  $("attach-menu").hidePopover();
  $(button.dataset.open).returnValue = "";
  $(button.dataset.open).showModal();
});
$("location-dialog").addEventListener("close", (event) => {
  const form = new FormData(event.target.querySelector("form"));
  if (event.target.returnValue === "send") act({ do: "location", customer, name: form.get("name"), latitude: Number(form.get("latitude")), longitude: Number(form.get("longitude")) });
});
$("contact-dialog").addEventListener("close", (event) => {
  const form = new FormData(event.target.querySelector("form"));
  if (event.target.returnValue === "send") act({ do: "contact", customer, name: form.get("name"), phone: form.get("phone") });
});
$("is-online").addEventListener("change", (event) => act({ do: "online", customer, on: event.target.checked }).then(draw));
$("is-open").addEventListener("change", (event) => act({ do: "keep_open", customer, on: event.target.checked }).then(draw));
$("is-window").addEventListener("change", (event) => act({ do: "window", customer, open: event.target.checked }).then(draw));
$("close-window").addEventListener("click", () => act({ do: "window", customer, open: false }).then(draw));
$("templates").addEventListener("change", () => {
  const box = $("operator-text");
  box.value = $("templates").value;
  $("templates").value = "";
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
});
$("sms-templates").addEventListener("change", () => {
  $("sms-form").elements.text.value = $("sms-templates").value;
  $("sms-templates").value = "";
});
$("sms-send").addEventListener("click", () => sms("sms", {}));
$("sms-robot").addEventListener("click", () => sms("robot", { count: Number($("sms-form").elements.count.value) }));
$("read-all").addEventListener("click", () => {
  $("phone-menu").hidePopover();
  act({ do: "read", customer });
});
for (const button of all("[data-operator]")) button.addEventListener("click", () => {
  $("line-menu").hidePopover();
  const how = button.dataset.operator;
  if (how === "finish") act({ do: "finish", chat });
  else if ($("operator-text").value.trim()) write(how);
  else toast("Type the text first.");
});
$("chats").addEventListener("change", () => {
  const picked = $("chats").value;
  const owner = state.customers.find((one) => one.chat === picked);
  if (owner) choose(owner.key, false);
  chat = picked;
  reply("operator", null);
  draw();
});
$("customers").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const keys = state.customers.map((one) => one.key);
  choose(keys[(keys.indexOf(customer) + step + keys.length) % keys.length]);
});

// ---- Switches ----

const switches = all(".fault").map((row, number) => {
  const side = row.closest("[data-side]").dataset.side;
  const { key, send, random, count, on, off, label } = row.dataset;
  const input = el("input", { type: "checkbox", role: "switch", id: "fault-" + number });
  const once = el("button", { type: "button" }, "once");
  const change = (patch) => act({ do: side + "_faults", change: patch }).then(draw);
  once.setAttribute("aria-label", label + ", once");
  row.append(el("label", count ? {} : { htmlFor: input.id }, label));
  if (send || random || count) row.append(once);
  if (!count) row.append(input);
  const map = send ? "send" : random ? "random" : null;
  const name = send || random;
  input.addEventListener("change", () => {
    const faults = state.faults[side];
    if (map) {
      const { [name]: _, ...rest } = faults[map];
      change({ [map]: input.checked ? { ...rest, [name]: 1 } : rest });
    } else change({ [key]: on ? Number(input.checked ? on : off) : input.checked });
  });
  once.addEventListener("click", () => {
    if (count) change({ [count]: state.faults[side][count] + 1 });
    else act({ do: side + "_once", fault: name });
  });
  return () => {
    const faults = state.faults[side];
    input.checked = map ? Boolean(faults[map][name]) : Boolean(faults[key]);
    const planned = count ? faults[count]
      : send ? faults.send_next.filter((fault) => fault === name).length
      : random ? faults.planned.filter((plan) => plan.kind === name).reduce((sum, plan) => sum + plan.times, 0) : 0;
    once.textContent = planned ? `next ${planned > 1 ? planned : ""}`.trim() : "once";
    once.classList.toggle("planned", planned > 0);
    const active = (!count && input.checked) || planned > 0;
    row.classList.toggle("on", active);
    return active;
  };
});
function drawFaults() {
  const active = switches.filter((update) => update()).length + (state.faults.cloud.fail_next > 0 ? 1 : 0);
  const fail = document.querySelector('[data-do="fail_next"]');
  fail.textContent = state.faults.cloud.fail_next ? `next ${state.faults.cloud.fail_next}` : "once";
  for (const group of all("details[data-side]")) badge(group.querySelector(".badge"), all(".fault.on", group).length);
  badge(document.querySelector('[data-count="faults"]'), active);
  $("calm").disabled = !active;
}
function badge(node, count) {
  node.hidden = !count;
  node.textContent = count;
}
$("calm").addEventListener("click", () => act({ do: "calm" }));
for (const button of all("[data-do]")) button.addEventListener("click", () => {
  const what = button.dataset.do;
  if (what === "fail_next") act({ do: what, code: Number($("fail-code").value) });
  else if (what === "expire") act({ do: "portal_faults", change: { expire_tokens: true } }).then((done) => done && toast("All access tokens of the portal have expired."));
  else act({ do: what }).then((done) => done && toast("From now on 2 calls a second pass."));
});

// ---- The strip ----

const WAYS = { "meta-in": "WhatsApp → bridge", "meta-out": "bridge → WhatsApp", "portal-out": "bridge → Bitrix24", "portal-in": "Bitrix24 → bridge" };
const ROWS = 300;
let lastCrossing = 0;
let held = false;
let waiting = [];
let scheduled = false;
function crossed(line) {
  // After a restart of the sandbox numbers begin anew; a reconnection brings known ones again.
  if (line.n <= lastCrossing) return;
  lastCrossing = line.n;
  waiting.push(line);
  if (waiting.length > ROWS) waiting.shift();
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => {
    scheduled = false;
    if (!held) drawStrip();
  }, 40);
}
function drawStrip() {
  const list = $("crossings");
  list.querySelector(".empty")?.remove();
  const rows = waiting.map((line) =>
    el("li", { "data-way": line.way, "data-n": line.n, className: line.good ? "" : "wrong" },
      el("button", { type: "button", "aria-expanded": "false", onclick: (event) => show(line, event.currentTarget) },
        el("time", { dateTime: line.at }, exact.format(new Date(line.at))),
        el("span", { className: "way" }, WAYS[line.way]),
        el("span", { className: "name" }, line.name),
        el("span", { className: "note" }, line.note),
        el("span", { className: "status" }, line.status))));
  waiting = [];
  const top = list.scrollTop;
  const before = list.scrollHeight;
  list.prepend(...rows.reverse());
  while (list.children.length > ROWS) list.lastElementChild.remove();
  // Whoever reads further down is not moved.
  if (top > 4) list.scrollTop = top + list.scrollHeight - before;
}
async function show(line, button) {
  all('#crossings [aria-expanded="true"]').forEach((other) => other.setAttribute("aria-expanded", "false"));
  button.setAttribute("aria-expanded", "true");
  const answer = await fetch("strip/" + line.n).catch(() => null);
  const body = answer ? await answer.json().catch(() => null) : null;
  const box = $("crossing");
  box.querySelector("strong").textContent = `${line.name} · ${line.status}`;
  box.querySelector("pre").textContent = body ? JSON.stringify(body, null, 2) : "The sandbox does not answer.";
  box.hidden = false;
}
$("crossing-close").addEventListener("click", () => {
  $("crossing").hidden = true;
  const opened = document.querySelector('#crossings [aria-expanded="true"]');
  opened?.setAttribute("aria-expanded", "false");
  opened?.focus();
});
$("strip-clear").addEventListener("click", () => {
  $("crossings").replaceChildren(nothing());
  $("crossing").hidden = true;
  waiting = [];
});
$("strip-hold").addEventListener("click", (event) => {
  held = !held;
  event.currentTarget.setAttribute("aria-pressed", String(held));
  event.currentTarget.textContent = held ? "Go on" : "Hold";
  if (!held) drawStrip();
});
const nothing = () => el("li", { className: "empty" }, "Every webhook, call, event and file pull appears here; a click shows its body.");
$("crossings").append(nothing());

// ---- Tabs ----

function tab(name) {
  document.body.dataset.tab = name;
  for (const button of all("[role=tab]")) {
    const on = button.dataset.tab === name;
    button.setAttribute("aria-selected", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  for (const list of [$("chat"), $("line-log")]) list.scrollTop = list.scrollHeight;
}
for (const button of all("[role=tab]")) button.addEventListener("click", () => tab(button.dataset.tab));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = all("[role=tab]").filter((button) => button.offsetParent);
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  tab(next.dataset.tab);
  next.focus();
});
tab(location.hash.slice(1) in { phone: 1, line: 1, strip: 1, faults: 1 } ? location.hash.slice(1) : "phone");
