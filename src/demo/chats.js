// The open chats: opening one (which binds the two accounts), its tab, and what the phones' buttons do.

import { CallError, pairs, service, simulator } from "./api.js";
import { noteOlder, recallOlder } from "./check.js";
import { avatar, byId, el } from "./dom.js";
import { badgeOf } from "./orders.js";
import { ORDERS, person } from "./people.js";
import { rememberText } from "./texts.js";
import { t } from "./words.js";

const KEY = "otc-im.chats";
const BIND_AGAIN = 3_000;
const NOTHING = { messages: [], readUpTo: null };

export const activeChat = (page) => page.chats.find((chat) => chat.id === page.active);

/** The chats of last time, or one to begin with. */
export function chatsOfLastTime() {
  const kept = (sessionStorage.getItem(KEY) ?? "").split("\n").filter(Boolean);
  return kept.length > 0 ? kept : [ORDERS[0].who];
}

const keep = (page) => sessionStorage.setItem(KEY, page.chats.map((chat) => chat.id).join("\n"));

export async function openChat(page, id, order) {
  let chat = page.chats.find((one) => one.id === id);
  if (!chat) {
    chat = { id, mine: NOTHING, theirs: NOTHING };
    recallOlder(chat);
    page.chats.push(chat);
  }
  chat.order = order ?? chat.order ?? ORDERS.find((one) => one.who === id);
  page.active = id;
  keep(page);
  if (!chat.accid) await bind(page, chat);
}

export function closeChat(page, id) {
  const at = page.chats.findIndex((chat) => chat.id === id);
  page.chats.splice(at, 1);
  if (page.active === id) page.active = page.chats[Math.max(0, at - 1)]?.id;
  keep(page);
}

/** Both get an account at NetEase and become friends. */
async function bind(page, chat) {
  try {
    const request = { buyer: page.user, buyerName: person(page.user).name, seller: chat.id };
    const bound = await service("POST", "/v1/accounts/bind", request);
    const pending = bound.friend.state === "pending";
    Object.assign(chat, { self: bound.accid, accid: bound.friend.accid, pending });
    Object.assign(chat, { boundAt: Date.now(), forgotten: false, problem: undefined });
  } catch (error) {
    chat.problem = error.message;
  }
}

/** A friendship that NetEase could not be told of, or has forgotten, is asked for again now and then. */
export async function bindPending(page) {
  const long = ({ boundAt }) => Date.now() - boundAt > BIND_AGAIN;
  const due = page.chats.filter((chat) => chat.accid && (chat.forgotten || (chat.pending && long(chat))));
  await Promise.all(due.map((chat) => bind(page, chat)));
}

/** Does something at the simulator; if it has started anew and knows the two no more, binds them again first. */
async function atSimulator(page, chat, path, body) {
  try {
    return await simulator("POST", path, body);
  } catch (error) {
    if (!(error instanceof CallError) || error.status !== 404) throw error;
    noteOlder(chat, page.counts?.[chat.id]);
    await bind(page, chat);
    if (chat.problem || chat.pending) throw error;
    return simulator("POST", path, body);
  }
}

/** What the buttons of the phones do. */
export async function act(page, name, values) {
  const chat = activeChat(page);
  const accid = (id) => (id === page.user ? chat.self : chat.accid);
  if (name === "open") {
    await bind(page, chat);
  } else if (name === "send") {
    const { body, count } = values;
    const message = { from: accid(values.from), to: accid(values.to), body, count, wait: false };
    const { messages } = await atSimulator(page, chat, "send", message);
    rememberText(messages, body);
  } else if (name === "read") {
    const read = { reader: accid(values.reader), peer: accid(values.peer), wait: false };
    await atSimulator(page, chat, "read", read);
  } else if (name === "recall") {
    const [reader, peer] = values.owner === page.user ? [chat.accid, chat.self] : [chat.self, chat.accid];
    const { messages } = await simulator("GET", `messages?${pairs({ reader, peer })}`);
    const last = messages.findLast((message) => !message.recalled);
    if (last) await simulator("POST", "recall", { msgidServer: last.msgidServer, wait: false });
  } else if (name === "shipped") {
    const attach = { type: "shipped", order: chat.order.id };
    const pushContent = t("noticeShipped", { order: chat.order.id });
    await service("POST", "/v1/notifications", { to: page.user, attach, pushContent });
  }
}

/** What the simulator knows about a chat: both directions, and the count by the definition. */
export async function look(chat) {
  const [theirs, mine, { unread }] = await Promise.all([
    simulator("GET", `messages?${pairs({ reader: chat.self, peer: chat.accid })}`),
    simulator("GET", `messages?${pairs({ reader: chat.accid, peer: chat.self })}`),
    simulator("GET", `unread?${pairs({ reader: chat.self, peer: chat.accid })}`),
  ]);
  return { theirs, mine, unread };
}

export function drawTabs(page, { onShow, onClose }) {
  const bar = byId("tabs");
  const focused = bar.contains(document.activeElement);
  const tabs = page.chats.map((chat) => {
    const { name } = person(chat.id);
    const front = chat.id === page.active;
    const tab = el(
      "button",
      { class: "tab", type: "button", "aria-pressed": `${front}`, "data-tab": chat.id, onclick: () => onShow(chat.id) },
      avatar(person(chat.id)),
      name,
      badgeOf(chat.id),
    );
    const label = t("close", { name });
    const close = el("button", { class: "close", type: "button", "aria-label": label, onclick: () => onClose(chat.id) }, "×");
    return el("span", { class: front ? "tabbed front" : "tabbed" }, tab, close);
  });
  bar.replaceChildren(...tabs);
  if (focused) bar.querySelector(".front .tab")?.focus();
}
