// The two phones of the chat in front: what was said, and what either side can do.

import { avatar, byId, el } from "./dom.js";
import { person } from "./people.js";
import { textOf } from "./texts.js";
import { t, time } from "./words.js";

const MOST_SHOWN = 60;
let drawn; // what the phones were last built for

/** Draws the chat; `act(name, values)` does what a button asks for. */
export function drawPhones(page, chat, act) {
  const phones = byId("phones");
  if (!chat || chat.problem || !chat.accid) {
    drawn = undefined;
    byId("pending").hidden = true;
    phones.replaceChildren(instead(chat, act));
    return;
  }
  byId("pending").hidden = !chat.pending;
  const key = `${document.documentElement.lang} ${chat.id}`;
  if (drawn !== key) {
    drawn = key;
    phones.replaceChildren(phone(chat.id, page.user, act, ["shipped"]), phone(page.user, chat.id, act, []));
  }
  const [theirs, mine] = phones.children;
  drawNotice(mine.querySelector(".notice"), page.notices);
  fill(theirs, chat.theirs, chat.mine);
  fill(mine, chat.mine, chat.theirs);
}

function instead(chat, act) {
  if (!chat) return el("p", { class: "empty" }, t("noChat"));
  if (!chat.problem) return el("p", { class: "empty" }, t("opening"));
  const again = el("button", { class: "button", type: "button", onclick: () => act("open") }, t("retry"));
  return el("div", { class: "empty" }, el("p", {}, t("notOpened", { why: chat.problem })), again);
}

function phone(owner, other, act, more) {
  const [self, peer] = [person(owner), person(other)];
  const names = { name: self.name, other: peer.name };
  const phrases = t("phrases");
  let turn = owner.length % phrases.length;
  const input = el("input", { class: "words", type: "text", maxLength: 500, autocomplete: "off" });
  input.setAttribute("aria-label", `${t("message")}, ${t("to", { name: peer.name })}`);
  input.placeholder = phrases[turn];
  const say = (count) => {
    act("send", { from: owner, to: other, body: input.value.trim() || input.placeholder, count });
    input.value = "";
    turn = (turn + 1) % phrases.length;
    input.placeholder = phrases[turn];
  };
  const action = (key, onclick, hint) =>
    el("button", { class: "button small", type: "button", "data-act": key, title: hint && t(hint, names), onclick }, t(key));
  const actions = [
    action("read", () => act("read", { reader: owner, peer: other }), "readHint"),
    action("recall", () => act("recall", { owner }), "recallHint"),
    action("ten", () => say(10)),
  ];
  for (const key of more) actions.push(action(key, () => act(key), `${key}Hint`));
  const submit = (event) => {
    event.preventDefault();
    say(1);
  };
  const said = el("ol", { class: "said", tabindex: "0", "aria-label": t("chatWith", { name: peer.name }) });
  said.addEventListener("scroll", () => {
    said.scrolledUp = said.scrollHeight - said.scrollTop - said.clientHeight > 40;
  });
  return el(
    "section",
    { class: "phone", "data-phone": owner, "aria-label": t("phoneOf", { name: self.name }) },
    el("header", {}, avatar(peer), el("div", {}, el("b", {}, peer.name), el("small", {}, t("phoneOf", { name: self.name })))),
    el("div", { class: "notice", hidden: true }),
    said,
    el("div", { class: "actions" }, ...actions),
    el("form", { class: "write", onsubmit: submit }, input, el("button", { class: "button main", type: "submit" }, t("send"))),
  );
}

/** Fills a phone with what its owner said (`own`) and what the other side did. */
function fill(phone, own, other) {
  const list = phone.querySelector(".said");
  const all = [...own.messages.map((message) => ({ message, own: true })), ...other.messages.map((message) => ({ message }))];
  all.sort((one, two) => one.message.msgTimestamp - two.message.msgTimestamp);
  const newestRead = own.messages.findLast((message) => !message.recalled && message.msgTimestamp <= own.readUpTo);
  const bubbles = all.slice(-MOST_SHOWN).map(({ message, own: byOwner }) => {
    const waiting = !byOwner && !(message.msgTimestamp <= other.readUpTo);
    return bubble(message, byOwner, waiting, message === newestRead);
  });
  const looks = bubbles.map((node) => node.outerHTML).join("");
  if (list.looks !== looks) {
    list.looks = looks;
    list.replaceChildren(...(bubbles.length ? bubbles : [el("li", { class: "recalled" }, t("silence"))]));
  }
  if (!list.scrolledUp) list.scrollTop = list.scrollHeight;
}

function bubble(message, own, waiting, read) {
  if (message.recalled) return el("li", { class: "recalled" }, t("recalled"));
  const known = textOf(message);
  const said = el("span", { class: known ? "text" : "text lost" }, known ?? t("noText"));
  const below = el("small", {}, read ? `${time(message.msgTimestamp)} · ${t("wasRead")}` : time(message.msgTimestamp));
  return el("li", { class: `bubble${own ? " own" : ""}${waiting ? " waiting" : ""}` }, said, below);
}

/** The newest system notice, on top of the viewer's phone. */
function drawNotice(card, notices) {
  const newest = notices?.at(-1);
  if (!newest) {
    card.hidden = true;
    return;
  }
  if (card.dataset.at === `${newest.at}`) return;
  card.dataset.at = newest.at;
  card.hidden = false;
  card.replaceChildren(
    el("span", { class: "dot", "aria-hidden": "true" }),
    el("div", {}, el("b", {}, noticeText(newest)), el("small", {}, `${t("notice")} · ${time(newest.at)}`)),
  );
}

export function noticeText(notice) {
  try {
    const attach = JSON.parse(notice.attach);
    if (attach.type === "shipped") return t("noticeShipped", { order: attach.order });
  } catch {
    // not one of this page
  }
  return notice.pushcontent ?? notice.attach;
}
