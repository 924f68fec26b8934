// The order list and its unread badges, and the line that says how they come to the page.

import { announce, avatar, byId, el } from "./dom.js";
import { ORDERS, person } from "./people.js";
import { number, t } from "./words.js";

const COLUMNS = ["order", "side", "asset", "amount", "price", "state", "counterparty"];
const DIGITS = { BTC: 4, ETH: 2 };

/** Draws the table anew; `page` holds counts and the chat in front, `onOpen` is told whose chat is wanted. */
export function drawOrders(page, onOpen) {
  const side = chosenSide();
  const rows = ORDERS.filter((order) => !side || order.side === side).map((order) => row(order, onOpen));
  const heads = COLUMNS.map((key) => el("th", { scope: "col", class: `at-${key}` }, t(key)));
  byId("orders").replaceChildren(
    el("caption", { class: "sr" }, t("orders")),
    el("thead", {}, el("tr", {}, ...heads)),
    el("tbody", {}, ...rows),
  );
  drawBadges(page);
}

const chosenSide = () => byId("filter").querySelector("input:checked").value;

function row(order, onOpen) {
  const who = person(order.who);
  const open = el(
    "button",
    { class: "who", type: "button", "data-user": who.id, onclick: () => onOpen(who.id, order) },
    avatar(who),
    el("span", { class: "name" }, who.name),
    badgeOf(who.id),
  );
  const cells = {
    order: `${order.id}`,
    side: el("span", { class: `side ${order.side}` }, t(order.side)),
    asset: order.asset,
    amount: number(order.amount, DIGITS[order.asset] ?? 0),
    price: number(order.price, 2),
    state: el("span", { class: `state ${order.state}` }, t(order.state)),
    counterparty: open,
  };
  const drawn = COLUMNS.map((key) => el("td", { class: `at-${key}` }, cells[key]));
  return el("tr", { "data-row": who.id }, ...drawn);
}

/** A badge that `drawBadges` keeps right, wherever it stands. */
export const badgeOf = (id) => el("span", { class: "badge", "aria-hidden": "true", "data-of": id });

/** Brings badges, labels and the total up to date without touching anything else. */
export function drawBadges({ counts, active }) {
  for (const badge of document.querySelectorAll(".badge")) {
    const count = counts?.[badge.dataset.of];
    const before = badge.dataset.count;
    badge.dataset.count = count ?? "";
    badge.textContent = count > 999 ? "999+" : (count ?? "");
    if (before && count > Number(before)) restart(badge);
  }
  for (const open of document.querySelectorAll("#orders .who")) {
    const { user } = open.dataset;
    const count = counts?.[user];
    const label = count === undefined ? t("unknown") : t("unread", { count });
    open.setAttribute("aria-label", `${t("chatWith", { name: person(user).name })}, ${label}`);
    open.setAttribute("aria-pressed", `${user === active}`);
  }
  const values = counts && Object.values(counts);
  const unread = values?.reduce((sum, count) => sum + count, 0);
  const total = byId("total");
  total.textContent = t(counts ? "total" : "totalUnknown", { orders: ORDERS.length, unread: number(unread ?? 0) });
}

/** Plays the little jump of a badge again. */
function restart(badge) {
  badge.classList.remove("up");
  void badge.offsetWidth;
  badge.classList.add("up");
}

/** Tells screen readers what is new; not on the first map, which would be all of it. */
export function announceCounts(changed) {
  const news = Object.entries(changed).map(([id, count]) => t("heard", { name: person(id).name, count }));
  announce(news.join(" · "));
}

export function drawLink(link) {
  const shown = byId("link");
  shown.dataset.link = link;
  shown.title = t(`${link}Hint`);
  byId("link-word").textContent = t(link);
  document.body.dataset.link = link;
}
