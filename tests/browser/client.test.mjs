// The JavaScript client in pages of another origin than the service: many tabs, hidden ones, a network that goes and comes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { demoInBrowser } from "./support.mjs";

const CLIENT = new URL("../../clients/js/index.js", import.meta.url);
const STREAM = "/v1/unread/stream";
/** Watches as the query says, and shows counts and state. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>Orders</title><p id="state"></p><p id="error"></p><ul></ul>
<script type="module">
  import { createClient } from "./client.js";
  const { service, token, self, users, options } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  window.tokens = [];
  const give = ({ refresh }) => {
    window.tokens.push(refresh);
    return token.refused && !refresh ? token.refused : token.good;
  };
  const shown = new Map();
  const show = (map) => {
    for (const [user, count] of Object.entries(map)) {
      const badge = shown.get(user) ?? document.querySelector("ul").appendChild(document.createElement("li"));
      shown.set(user, badge);
      badge.dataset.user = user;
      badge.dataset.count = count;
    }
  };
  const onState = (state) => (document.querySelector("#state").dataset.state = state);
  const onError = (error) => (document.querySelector("#error").textContent = error.code);
  createClient({ baseUrl: service, token: give }).watch(self, users, show, { ...options, onState, onError });
</script>`;

const { demo, browser } = await demoInBrowser();
let site; // the origin of the pages
let service; // that of the service, with nothing between
let token;

before(async () => {
  service = new URL(demo.url).origin;
  ({ token } = await (await fetch(new URL("config.json", demo.url))).json());
  const client = await readFile(CLIENT);
  site = createServer((request, response) => {
    const isClient = request.url === "/client.js";
    response.setHeader("Content-Type", isClient ? "text/javascript" : "text/html");
    response.setHeader("Cache-Control", "no-store");
    response.end(isClient ? client : PAGE);
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  site.url = `http://127.0.0.1:${site.address().port}`;
});
after(() => {
  site?.closeAllConnections();
  site?.close();
});

async function said(path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(service + path, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}
async function writes(from, count = 1) {
  await said("/v1/accounts/bind", { buyer: "alice", seller: from });
  await said("/demo/simulator/send", { from, to: "alice", body: "hello", count });
}

/** One browser profile; `streams()` are the streams that its pages hold. */
async function profile(t, init) {
  const context = await browser.newContext();
  t.after(() => context.close());
  if (init) await context.addInitScript(init);
  const requests = new Set();
  context.on("request", (request) => requests.add(request));
  context.on("requestfinished", (request) => requests.delete(request));
  context.on("requestfailed", (request) => requests.delete(request));
  const streams = () =>
    [...requests].filter((request) => request.url().includes(STREAM) && !request.frame().page().isClosed());
  return { context, streams };
}

async function open({ context }, users, { options = {}, tokens = { good: token } } = {}) {
  const page = await context.newPage();
  const facts = { service, token: tokens, self: "alice", users, options };
  await page.goto(`${site.url}/#${encodeURIComponent(JSON.stringify(facts))}`);
  return page;
}
const shows = (page, user, count, timeout = 5_000) =>
  page.locator(`[data-user="${user}"][data-count="${count}"]`).waitFor({ state: "attached", timeout });
const state = (page, name, timeout = 10_000) =>
  page.locator(`#state[data-state="${name}"]`).waitFor({ state: "attached", timeout });
/** Waits for what no event tells of. */
async function until(condition, what, within = 10_000) {
  const deadline = Date.now() + within;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
/** What a page sees once it lies behind another one, and in front again: a headless browser has no such windows. */
const look = (page, visibility) =>
  page.evaluate((now) => {
    Object.defineProperty(document, "visibilityState", { value: now, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visibility);
const withoutLocks = () => {
  delete Navigator.prototype.locks;
  delete window.BroadcastChannel;
};

test("a page of another origin asks the service itself: live badges, and 304", async (t) => {
  const seat = await profile(t);
  const statuses = [];
  seat.context.on("response", (response) => {
    if (new URL(response.url()).pathname === "/v1/unread") statuses.push(response.status());
  });
  const page = await open(seat, ["bob", "小明"]);
  await state(page, "streaming");
  assert.notEqual(new URL(page.url()).origin, service);
  await writes("bob");
  await shows(page, "bob", 1, 2_000);
  const polling = await open(await profile(t), ["bob"], { options: { pollInterval: 100 } });
  await polling.route(`**${STREAM}*`, (route) => route.fulfill({ status: 404, body: "{}" }));
  const unchanged = polling.waitForResponse((response) => response.status() === 304);
  await polling.reload();
  await unchanged;
  await state(polling, "polling");
  assert.ok(statuses.every((status) => status === 200), `${statuses}`);
});

test("nine tabs hold one stream, the tenth page still loads, and one tab takes over from another", async (t) => {
  const seat = await profile(t);
  const pages = [];
  for (let n = 0; n < 9; n++) pages.push(await open(seat, ["carol", `nobody-${n}`]));
  for (const page of pages) await state(page, "streaming");
  await until(() => seat.streams().length === 1, () => `${seat.streams().length} streams`);
  await writes("carol");
  for (const page of pages) await shows(page, "carol", 1, 2_000);
  for (const [n, page] of pages.entries()) {
    assert.deepEqual(await page.locator("li").evaluateAll((all) => all.map((one) => one.dataset.user)), ["carol", `nobody-${n}`]);
  }
  const began = Date.now();
  const tenth = await open(seat, ["carol"]);
  await shows(tenth, "carol", 1);
  const answer = await tenth.evaluate((url) => fetch(url).then((response) => response.status), `${service}/healthz`);
  assert.deepEqual([answer, Date.now() - began < 3_000], [200, true]);
  pages.push(tenth);
  for (let count = 2; count < 5; count++) {
    const holder = seat.streams()[0].frame().page();
    await holder.close();
    pages.splice(pages.indexOf(holder), 1);
    await until(() => seat.streams().length === 1, () => `${seat.streams().length} streams`);
    await writes("carol");
    for (const page of pages) await shows(page, "carol", count, 4_000);
  }
});

test("a frozen tab that holds the stream loses it to one that is looked at", async (t) => {
  const seat = await profile(t);
  const options = { firstEvent: 1_000, pollInterval: 60_000 };
  const frozen = await open(seat, ["dave"], { options });
  await state(frozen, "streaming");
  const page = await open(seat, ["dave"], { options });
  await state(page, "streaming");
  const devtools = await seat.context.newCDPSession(frozen);
  await devtools.send("Debugger.enable");
  await devtools.send("Debugger.pause"); // at its next step, and no browser freezes a page when it is told to
  await look(page, "hidden");
  await look(page, "visible"); // which asks the holder whether it is there
  const of = () => seat.streams().filter((request) => request.frame().page() === page).length;
  await until(() => of() === 1, () => `${of()} streams of the page that is looked at`);
  await writes("dave");
  await shows(page, "dave", 1, 2_000);
  await devtools.send("Debugger.disable");
  await shows(frozen, "dave", 1);
  await until(() => seat.streams().length === 1, () => `${seat.streams().length} streams`);
});

test("without locks and channels a hidden tab polls, and streams again once it is seen", async (t) => {
  const seat = await profile(t, withoutLocks);
  const page = await open(seat, ["erin"], { options: { pollInterval: 500 } });
  await state(page, "streaming");
  await look(page, "hidden");
  await state(page, "polling");
  await until(() => seat.streams().length === 0, () => "a hidden page holds a stream");
  await writes("erin");
  await shows(page, "erin", 1);
  await look(page, "visible");
  await state(page, "streaming");
  await writes("erin");
  await shows(page, "erin", 2, 2_000);
});

test("without locks ten tabs of which one is seen leave the site alive", async (t) => {
  const seat = await profile(t, withoutLocks);
  for (let n = 0; n < 9; n++) {
    const page = await open(seat, ["frank"]);
    await state(page, "streaming");
    await look(page, "hidden");
    await until(() => seat.streams().length === 0, () => "a hidden page holds a stream");
  }
  const page = await open(seat, ["frank"]);
  await state(page, "streaming");
  await writes("frank");
  await shows(page, "frank", 1, 2_000);
  assert.equal(seat.streams().length, 1);
});

for (const [what, init] of [["with", undefined], ["without", withoutLocks]]) {
  test(`offline is told at once, and made up for as soon as the network is back, ${what} locks`, async (t) => {
    const seat = await profile(t, init);
    const user = init ? "grace" : "heidi";
    const pages = [await open(seat, [user]), await open(seat, [user])];
    for (const page of pages) await state(page, "streaming");
    await seat.context.setOffline(true);
    for (const page of pages) await state(page, "offline", 5_000);
    await writes(user);
    await seat.context.setOffline(false);
    for (const page of pages) await shows(page, user, 1, 2_000);
    for (const page of pages) await state(page, "streaming", 5_000);
  });
}

test("a refused token is renewed, once, and the page streams; twice refused, it is told", async (t) => {
  const seat = await profile(t);
  const page = await open(seat, ["ivan"], { tokens: { refused: "expired", good: token } });
  await state(page, "streaming");
  assert.equal((await page.evaluate(() => window.tokens)).filter((refresh) => refresh).length, 1);
  await writes("ivan");
  await shows(page, "ivan", 1, 2_000);
  const other = await open(seat, ["ivan"], { tokens: { refused: "expired", good: "worse" } });
  await other.locator("#error", { hasText: "unauthorized" }).waitFor();
  assert.equal(await other.locator("li").count(), 0, "what other tabs know is not for whoever is refused");
});

test("a page that is not to share has a stream of its own", async (t) => {
  const seat = await profile(t);
  const pages = [await open(seat, ["judy"]), await open(seat, ["judy"], { options: { share: false } })];
  for (const page of pages) await state(page, "streaming");
  assert.equal(seat.streams().length, 2);
});

test("a page that comes back from the browser's cache of pages is live again", async (t) => {
  const seat = await profile(t);
  const page = await open(seat, ["bob"]);
  await state(page, "streaming");
  await page.goto(`${site.url}/client.js`);
  await until(() => seat.streams().length === 0, () => "the page that was left holds a stream");
  await page.goBack();
  await state(page, "streaming");
  await writes("bob");
  await page.locator('[data-user="bob"][data-count="2"]').waitFor({ state: "attached", timeout: 3_000 });
});
