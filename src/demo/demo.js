// Starts the page: configuration, the live counts, the chats, and a look at the simulator every second.

import { loadConfig, pairs, reconcile, simulator } from "./api.js";
import { act, activeChat, bindPending, chatsOfLastTime, closeChat, drawTabs, look, openChat } from "./chats.js";
import { compare, drawCheck } from "./check.js";
import { createClient } from "./client.js";
import { announce, avatar, byId, complain } from "./dom.js";
import { drawFaults, loadFaults, resetFaults, showFaults } from "./faults.js";
import { announceCounts, drawBadges, drawLink, drawOrders } from "./orders.js";
import { PEOPLE, person } from "./people.js";
import { drawPhones, noticeText } from "./phones.js";
import { number, switchLanguage, t, translatePage } from "./words.js";

const LOOK_EVERY = 1_000;

/** Everything the page knows. `counts` is undefined until the first answer: there is no made-up zero. */
const page = {
  user: undefined,
  counts: undefined,
  link: "connecting",
  chats: [],
  active: undefined,
  notices: undefined,
  copies: undefined,
  accounts: 0,
  faults: undefined,
};

let lastAction = Promise.resolve();

/** Puts the badges right where copies were lost. */
async function reconcileNow() {
  const button = byId("reconcile");
  button.disabled = true;
  byId("reconciled").textContent = "";
  await guarded(async () => (byId("reconciled").textContent = t("reconciled", { count: number(await reconcile()) })));
  button.disabled = false;
  await lookAround();
}

/** What a phone's button asks for, one after the other: quick typing must not overtake itself. */
function phoneAction(name, values) {
  lastAction = lastAction.then(() => guarded(() => act(page, name, values)));
  return lastAction.then(lookAround);
}

/** Does something for a button; what goes wrong is said, not thrown. */
async function guarded(work) {
  try {
    await work();
  } catch (error) {
    complain(t("failed", { why: error.message }));
  }
}

function drawChats() {
  drawTabs(page, { onShow: show, onClose: close });
  drawPhones(page, activeChat(page), phoneAction);
  drawBadges(page);
  drawCheck(page);
}

async function show(id, order) {
  const opening = openChat(page, id, order);
  drawChats();
  await opening;
  await lookAround();
  drawChats();
}

function close(id) {
  closeChat(page, id);
  drawChats();
}

let looking;

/** Asks the simulator what is true; calls that come while it is asked share the next look. */
function lookAround() {
  looking ??= lookNow().finally(() => (looking = undefined));
  return looking;
}

async function lookNow() {
  try {
    await bindPending(page);
    const open = page.chats.filter((chat) => chat.accid);
    const self = open[0]?.self ?? page.user;
    const before = { ...page.counts };
    const [stats, { notices }, ...looks] = await Promise.all([
      simulator("GET", "stats"),
      simulator("GET", `notices?${pairs({ to: self })}`),
      ...open.map(look),
    ]);
    const startedAnew = stats.accounts < page.accounts;
    if (startedAnew) for (const chat of open) chat.forgotten = true;
    if (startedAnew || !page.copies) await loadFaults(page);
    page.accounts = stats.accounts;
    page.copies = stats.copies;
    if (page.notices && notices.length > page.notices.length) announce(noticeText(notices.at(-1)));
    page.notices = notices;
    open.forEach((chat, at) => {
      const { theirs, mine, unread } = looks[at];
      Object.assign(chat, { theirs, mine });
      compare(chat, before[chat.id], unread, theirs, Date.now());
    });
  } catch {
    page.copies = undefined;
  }
  drawPhones(page, activeChat(page), phoneAction);
  drawCheck(page);
  showFaults(page);
}

function drawAll() {
  translatePage();
  const { user } = page;
  byId("me-name").textContent = person(user).name;
  byId("me-name").title = t("you", { name: person(user).name });
  byId("me-avatar").replaceChildren(avatar(person(user)));
  byId("language").textContent = t("language");
  byId("language").setAttribute("aria-label", t("languageHint"));
  byId("theme").setAttribute("aria-label", t("theme"));
  byId("theme").title = t("theme");
  drawOrders(page, openFromOrders);
  drawLink(page.link);
  drawChats();
  drawFaults(page, guarded);
}

async function openFromOrders(id, order) {
  await show(id, order);
  if (!matchMedia("(max-width: 1240px)").matches) return;
  byId("desk").focus({ preventScroll: true });
  byId("desk").scrollIntoView({ behavior: "smooth" });
}

function watchCounts(config) {
  const client = createClient({ baseUrl: config.service, token: config.token });
  const users = PEOPLE.map(({ id }) => id);
  const onChange = (map, changed) => {
    if (page.counts) announceCounts(changed);
    page.counts = map;
    drawBadges(page);
    drawCheck(page);
  };
  const onState = (link) => {
    page.link = link;
    drawLink(link);
  };
  const onError = (error) => complain(t("ended", { why: error.message }), { lasting: true });
  client.watch(config.user, users, onChange, { onState, onError });
}

function listen() {
  byId("filter").addEventListener("change", () => drawOrders(page, openFromOrders));
  byId("reset").addEventListener("click", () => guarded(() => resetFaults(page)).then(() => showFaults(page)));
  byId("reconcile").addEventListener("click", reconcileNow);
  byId("language").addEventListener("click", () => {
    switchLanguage();
    drawAll();
  });
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("otc-im.theme", root.dataset.theme);
  });
}

async function start() {
  const config = await loadConfig();
  page.user = config.user;
  drawAll();
  listen();
  watchCounts(config);
  const ids = chatsOfLastTime();
  const opening = ids.map((id) => openChat(page, id));
  page.active = ids[0]; // now, so that whoever clicks while they open is not taken back
  drawChats();
  await Promise.all(opening);
  await lookAround();
  drawChats();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    if (!document.hidden) await lookAround();
  }
}

start().catch((error) => {
  translatePage();
  complain(t("start", { why: error.message }), { lasting: true });
});
