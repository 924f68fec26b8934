// For each open chat: the count shown beside the count of the definition, marked when they stay apart.

import { byId, el } from "./dom.js";
import { person } from "./people.js";
import { number, t } from "./words.js";

/** How long the two may differ before that is called wrong; a poll takes its time. */
const MOMENT = { streaming: 2_500, polling: 9_000 };

/**
 * Compares; `before` is what was shown when the simulator was asked, `known` what it said about the pair.
 *
 * A simulator starts without a past, the service does not: what is shown while the simulator knows nothing of the
 * pair is from before its start, until the chat is read.
 */
export function compare(chat, before, defined, known, now) {
  if (known.readUpTo !== null) chat.older = 0;
  else if (known.messages.length === 0) noteOlder(chat, before);
  chat.defined = defined + (chat.older ?? 0);
  remember(chat);
  if (before === undefined || before === chat.defined) chat.apartSince = undefined;
  else chat.apartSince ??= now;
}

/** What is shown now is from before the simulator's start. */
export function noteOlder(chat, shown) {
  if (shown !== undefined) chat.older = shown;
}

const key = (chat) => `otc-im.older.${chat.id}`;
const remember = (chat) => sessionStorage.setItem(key(chat), chat.older ?? 0);
export const recallOlder = (chat) => (chat.older = Number(sessionStorage.getItem(key(chat)) ?? 0));

/** `right`, `moving` while the page or NetEase has something on its way, `wrong`, or `unclear` while nobody can be asked. */
export function verdict(chat, page, now = Date.now()) {
  const allowed = MOMENT[page.link];
  if (!page.copies || allowed === undefined) return "unclear";
  const shown = page.counts?.[chat.id];
  if (shown === undefined || chat.defined === undefined) return "moving";
  if (shown === chat.defined) return "right";
  // What has not come cannot be counted: the time to be right begins when all has come.
  if (underWay(page.copies) > 0) chat.apartSince = undefined;
  return chat.apartSince !== undefined && now - chat.apartSince > allowed ? "wrong" : "moving";
}

const underWay = (copies) => copies.queued + copies.inFlight + copies.parked;

export function drawCheck(page) {
  const rows = page.chats.map((chat) => {
    const shown = page.counts?.[chat.id];
    const judged = verdict(chat, page);
    const older = chat.older > 0 ? el("small", {}, t("before", { count: chat.older })) : undefined;
    return el(
      "tr",
      { "data-check": chat.id, "data-verdict": judged },
      el("th", { scope: "row" }, person(chat.id).name),
      el("td", { class: "shown" }, shown === undefined ? "–" : number(shown)),
      el("td", { class: "defined" }, chat.defined === undefined ? "–" : number(chat.defined), older),
      el("td", {}, el("span", { class: `verdict ${judged}` }, t(judged))),
    );
  });
  const head = ["counterparty", "shown", "defined", "verdict"].map((name) => el("th", { scope: "col" }, t(name)));
  byId("check").replaceChildren(el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  drawCopies(page.copies);
}

function drawCopies(copies) {
  const line = byId("copies");
  if (!copies) {
    line.textContent = t("noSimulator");
    return;
  }
  const open = underWay(copies);
  const lost = copies.dropped + copies.givenUp;
  const text = t("copies", { open, delivered: copies.delivered, retried: copies.retried, lost });
  line.replaceChildren(text, ...(lost > 0 ? [el("br"), t("lost")] : []));
}
