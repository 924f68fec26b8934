// What only pages have: other pages that share the stream, being hidden, the network's coming and going, the cache of pages.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { createClient } from "../index.js";
import { event, json, POLL, problem, quiet, recorded, serve, serveBoth, startStream, STREAM, TOTAL, totalEvent } from "./support.js";

const windows = new EventTarget();
globalThis.addEventListener = windows.addEventListener.bind(windows);
globalThis.removeEventListener = windows.removeEventListener.bind(windows);
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible", baseURI: "http://page.test/" });
const happens = (type) => windows.dispatchEvent(new Event(type));
function look(visibilityState) {
  document.visibilityState = visibilityState;
  document.dispatchEvent(new Event("visibilitychange"));
}

/** Web Locks, as far as the client uses them. */
function fakeLocks() {
  const held = new Map(); // name → { lose }
  const queues = new Map();
  const next = (name) => {
    if (!held.has(name)) queues.get(name)?.shift()?.();
  };
  const aborted = () => new DOMException("aborted", "AbortError");
  return {
    held,
    request: (name, { signal, steal }, work) =>
      new Promise((resolve, reject) => {
        const queue = queues.get(name) ?? [];
        queues.set(name, queue);
        const grant = async () => {
          const mine = { lose: () => reject(aborted()) };
          held.set(name, mine);
          try {
            resolve(await work());
          } catch (error) {
            reject(error);
          }
          if (held.get(name) === mine) held.delete(name);
          next(name);
        };
        if (steal) {
          held.get(name)?.lose();
          return grant();
        }
        queue.push(grant);
        signal.addEventListener("abort", () => {
          const at = queue.indexOf(grant);
          if (at < 0) return;
          queue.splice(at, 1);
          reject(aborted());
        });
        setTimeout(next, 0, name);
      }),
  };
}

let locks;
function share(on) {
  locks = on ? fakeLocks() : undefined;
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
}
beforeEach(() => {
  document.visibilityState = "visible";
  share(true);
});

const client = (server, more) => createClient({ baseUrl: server.url, token: "jwt", ...more });
const of = (server, path) => server.seen.filter((asked) => asked.path === path);
const open = (server) => of(server, STREAM).filter((asked) => !asked.closed);
const users = (asked) => new URLSearchParams(asked.url.split("?")[1]).get("users").split(",");

/** A service with one set of counts; `set` changes it for all. */
async function counting(t, counts) {
  const streams = new Set();
  const pick = (asked) => Object.fromEntries(users(asked).map((user) => [user, counts[user] ?? 0]));
  const server = await serveBoth(t, (asked, response) => json(response, pick(asked)), (asked, response) => {
    if (server.refuses) return problem(response, 503, { code: "overloaded" }, server.refuses);
    startStream(response, event(pick(asked)));
    const stream = { asked, response };
    streams.add(stream);
    response.on("close", () => streams.delete(stream));
  });
  server.set = (user, count) => {
    counts[user] = count;
    for (const { asked, response } of streams) if (users(asked).includes(user)) response.write(event({ [user]: count }));
  };
  server.cut = () => streams.forEach(({ response }) => response.destroy());
  return server;
}
const SLOW = { pollInterval: 60_000, backoff: 20 };
const streams = (log) => log.until(() => log.states.at(-1) === "streaming");
const until = async (condition) => {
  while (!condition()) await quiet(2);
};

test("pages share one stream, each with its own people, and one takes over from another", async (t) => {
  const server = await counting(t, { bob: 1 });
  const sets = [["bob"], ["bob", "carol"], ["dave"]];
  const pages = sets.map((set) => recorded(t, client(server), set, SLOW));
  for (const page of pages) await streams(page);
  assert.deepEqual([open(server).length, users(open(server)[0]).sort()], [1, ["bob", "carol", "dave"]]);
  server.set("bob", 2);
  for (const page of pages.slice(0, 2)) await page.until(() => page.maps.at(-1).bob === 2);
  server.set("dave", 7);
  await pages[2].until(() => page_is(pages[2], { dave: 7 }));
  assert.deepEqual(pages[0].maps.at(-1), { bob: 2 }, "nobody else's people");
  for (const left of [2, 1]) {
    const polls = of(server, POLL).length;
    pages.shift().close();
    server.set("dave", 10 + left);
    await pages.at(-1).until(() => page_is(pages.at(-1), { dave: 10 + left }));
    await until(() => open(server).length === 1);
    assert.equal(of(server, POLL).length, polls, "no poll between one and the next");
  }
  assert.deepEqual(pages[0].states, ["streaming"]);
  pages[0].close();
  await until(() => open(server).length === 0 && locks.held.size === 0);
});
const page_is = (page, map) => JSON.stringify(page.maps.at(-1)) === JSON.stringify(map);

test("readers and services do not share, and whoever is refused hears nothing", async (t) => {
  const server = await counting(t, { bob: 1 });
  const alice = recorded(t, client(server), ["bob"], SLOW);
  await streams(alice);
  const erin = recorded(t, client(server), ["bob"], SLOW, "erin");
  const elsewhere = recorded(t, createClient({ baseUrl: `${server.url}/.`, token: "jwt" }), ["bob"], SLOW);
  await streams(erin);
  assert.equal(open(server).length, 2);
  const refuses = async () => new Response("{}", { status: 403 });
  const stranger = recorded(t, client(server, { fetch: refuses }), ["bob"], SLOW);
  await stranger.until(() => stranger.errors.length === 1);
  server.set("bob", 2);
  await alice.until(() => alice.maps.at(-1).bob === 2);
  assert.deepEqual(stranger.maps, []);
  elsewhere.close();
});

test("one that may not share has its own stream", async (t) => {
  const server = await counting(t, { bob: 1 });
  const pages = [recorded(t, client(server), ["bob"], SLOW), recorded(t, client(server), ["bob"], { ...SLOW, share: false })];
  for (const page of pages) await streams(page);
  assert.equal(open(server).length, 2);
  locks.request = () => Promise.reject(new DOMException("not here", "SecurityError"));
  const boxed = recorded(t, client(server), ["bob"], SLOW);
  await streams(boxed);
  assert.equal(open(server).length, 3);
});

test("a stream that breaks is polled for by all, and is one again", async (t) => {
  const server = await counting(t, { bob: 1 });
  const options = { pollInterval: 50, backoff: 20, maxBackoff: 40 };
  const pages = [1, 2, 3].map(() => recorded(t, client(server), ["bob"], options));
  for (const page of pages) await streams(page);
  server.refuses = {};
  server.cut();
  server.set("bob", 2);
  for (const page of pages) await page.until(() => page.maps.at(-1).bob === 2);
  const asked = of(server, STREAM).length;
  await until(() => of(server, STREAM).length > asked + 6); // each has had its turn
  server.refuses = undefined;
  for (const page of pages) await streams(page);
  await until(() => open(server).length === 1);
  server.set("bob", 3);
  for (const page of pages) await page.until(() => page.maps.at(-1).bob === 3);
  for (const page of pages) assert.deepEqual(page.maps, [{ bob: 1 }, { bob: 2 }, { bob: 3 }], "nothing old is told again");
});

test("a page that has slept gives nobody old counts for new ones", async (t) => {
  const server = await counting(t, { bob: 1 });
  const page = recorded(t, client(server), ["bob"], SLOW);
  await streams(page);
  const [first] = open(server);
  const other = new BroadcastChannel(`otc-im/2 ${server.url}/v1 alice`);
  t.after(() => other.close());
  const heard = [];
  other.onmessage = ({ data }) => heard.push({ ...data, old: !first.closed });
  const now = Date.now;
  t.mock.method(Date, "now", () => now() + 120_000);
  other.postMessage({ id: "other", want: ["bob"] });
  await until(() => first.closed && heard.some(({ whole }) => whole));
  assert.ok(heard.every(({ whole, old }) => !whole || !old), JSON.stringify(heard));
});

test("what Retry-After says of the stream to one page holds for all", async (t) => {
  const server = await counting(t, { bob: 1 });
  const pages = [1, 2, 3].map(() => recorded(t, client(server), ["bob"], SLOW));
  for (const page of pages) await streams(page);
  const before = of(server, STREAM).length;
  server.refuses = { "Retry-After": "1" };
  server.cut();
  await until(() => of(server, STREAM).length > before);
  await quiet(500);
  assert.equal(of(server, STREAM).length, before + 1);
  server.refuses = undefined;
  await until(() => open(server).length === 1);
});

test("being looked at again costs nothing while the stream lives, and a poll where there is none", async (t) => {
  const server = await counting(t, { bob: 1 });
  const page = recorded(t, client(server), ["bob"], SLOW);
  await streams(page);
  const asked = server.seen.length;
  look("hidden");
  look("visible");
  await quiet(30);
  assert.equal(server.seen.length, asked);
  server.refuses = { "Retry-After": "60" };
  server.cut();
  await until(() => of(server, POLL).length === 2);
  server.set("bob", 2);
  look("visible");
  await page.until(() => page.maps.at(-1).bob === 2);
});

test("a page whose lock is in frozen hands loses it to one that is looked at", async (t) => {
  const server = await counting(t, { bob: 1 });
  const name = `otc-im/2 ${server.url}/v1 alice`;
  locks.request(name, { signal: new AbortController().signal }, () => new Promise(() => {})).catch(() => {});
  await quiet(5);
  const page = recorded(t, client(server), ["bob"], { ...SLOW, firstEvent: 60, pollInterval: 20 });
  await streams(page);
  assert.equal(open(server).length, 1);
});

test("a page that loses the lock follows", async (t) => {
  const server = await counting(t, { bob: 1 });
  const page = recorded(t, client(server), ["bob"], SLOW);
  await streams(page);
  locks.request(`otc-im/2 ${server.url}/v1 alice`, { steal: true }, () => quiet(100));
  await until(() => open(server).length === 0);
  await until(() => open(server).length === 1);
  server.set("bob", 2);
  await page.until(() => page.maps.at(-1).bob === 2);
});

test("without locks a hidden page polls, and streams once it is seen", async (t) => {
  share(false);
  const server = await counting(t, { bob: 1 });
  const page = recorded(t, client(server), ["bob"], { pollInterval: 20 });
  await streams(page);
  look("hidden");
  await until(() => open(server).length === 0);
  await page.until(() => page.states.at(-1) === "polling");
  server.set("bob", 2);
  await page.until(() => page.maps.at(-1).bob === 2);
  look("visible");
  await streams(page);
  assert.equal(open(server).length, 1);
});

test("what is hidden from the start opens no stream", async (t) => {
  share(false);
  document.visibilityState = "hidden";
  const server = await counting(t, { bob: 1 });
  const page = recorded(t, client(server), ["bob"]);
  await page.until(() => page.states.length === 1);
  assert.deepEqual([page.states, page.maps, of(server, STREAM).length], [["polling"], [{ bob: 1 }], 0]);
});

for (const [what, shared] of [["with", true], ["without", false]]) {
  test(`the network's coming back is a new stream and a poll at once, ${what} locks`, async (t) => {
    share(shared);
    const server = await counting(t, { bob: 1 });
    const page = recorded(t, client(server), ["bob"], { ...SLOW, backoff: 60_000, maxBackoff: 60_000 });
    await streams(page);
    const [first] = open(server);
    happens("online");
    await until(() => first.closed && open(server).length === 1);
    await streams(page);
  });
}

test("online cuts a long pause short, but not what Retry-After asks", async (t) => {
  share(false);
  let down = true;
  const server = await serve(t, (asked, response) => {
    if (down) return response.destroy();
    if (asked.url.includes("self=told")) return problem(response, 503, {}, { "Retry-After": "60" });
    json(response, { bob: 1 });
  });
  const page = recorded(t, client(server), ["bob"], { ...SLOW, backoff: 60_000, maxBackoff: 60_000 });
  await page.until(() => page.states[0] === "offline");
  down = false;
  happens("online");
  await page.until(() => page.maps.length === 1);
  const told = recorded(t, client(server), ["bob"], SLOW, "told");
  await told.until(() => told.states[0] === "offline");
  const asked = server.seen.filter(({ url }) => url.includes("self=told")).length;
  happens("online");
  look("visible");
  await quiet(40);
  assert.equal(server.seen.filter(({ url }) => url.includes("self=told")).length, asked);
});

test("a page in the cache of pages holds nothing, and goes on when it is back", async (t) => {
  const server = await counting(t, { bob: 1 });
  const page = recorded(t, client(server), ["bob"], SLOW);
  await streams(page);
  happens("pagehide");
  await until(() => open(server).length === 0 && locks.held.size === 0);
  server.set("bob", 2);
  await quiet(20);
  assert.deepEqual(page.maps, [{ bob: 1 }]);
  happens("pageshow");
  await page.until(() => page.maps.at(-1).bob === 2);
  await until(() => open(server).length === 1);
  page.close();
  happens("pageshow");
  await until(() => open(server).length === 0);
});

test("pages share the total as well, whoever holds the stream, and those that want none hear none", async (t) => {
  const all = { messages: 5, users: 2 };
  const opened = [];
  const server = await serveBoth(
    t,
    (asked, response) => json(response, asked.path === TOTAL ? all : { bob: 1 }),
    (asked, response) => {
      const total = asked.url.endsWith("&total=1");
      opened.push(response);
      startStream(response, event({ bob: 1 }), total ? totalEvent(all.messages, all.users) : "");
    },
  );
  const holder = recorded(t, client(server), ["bob"], SLOW);
  await streams(holder);
  const badge = recorded(t, client(server), [], { ...SLOW, onTotal: true });
  const other = recorded(t, client(server), ["bob"], { ...SLOW, onTotal: true });
  for (const page of [badge, other]) await streams(page);
  assert.equal(open(server).length, 1);
  const told = async (messages, users) => {
    Object.assign(all, { messages, users });
    opened.at(-1).write(totalEvent(messages, users));
    for (const page of [badge, other]) await page.until(() => page.totals.at(-1)?.messages === messages);
  };
  await told(6, 3);
  assert.deepEqual([holder.totals, holder.maps, badge.maps], [[], [{ bob: 1 }], [{}]]);
  holder.close();
  await until(() => open(server).length === 1 && open(server)[0].url.endsWith("&total=1"));
  await streams(other);
  await told(7, 3);
  assert.deepEqual(other.totals, [{ messages: 5, users: 2 }, { messages: 6, users: 3 }, { messages: 7, users: 3 }]);
});
