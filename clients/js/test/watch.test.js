// The live map: the stream and its bytes, what happens when it breaks, and polling in its place.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "../index.js";
import {
  event,
  fetchOf,
  json,
  POLL,
  problem,
  quiet,
  recorded,
  serve,
  serveBoth,
  startStream,
  STREAM,
  TOTAL,
  totalEvent,
} from "./support.js";

const client = (server, more) => createClient({ baseUrl: server.url, token: "jwt", ...more });
const of = (server, path) => server.seen.filter((asked) => asked.path === path);

test("a poll brings the whole map at once, and the stream what changes", async (t) => {
  const server = await serveBoth(t, { bob: 3, carol: 0 }, (_, response) => {
    startStream(response, event({ bob: 3, carol: 0 }), ": still here\n\n", event({ carol: 1 }), event({ carol: 1 }));
    response.write(event({ bob: 0 }));
  });
  const log = recorded(t, client(server), ["bob", "carol", "bob"], { pollInterval: 60_000 });
  await log.until(() => log.maps.length === 3);
  assert.deepEqual(log.maps, [{ bob: 3, carol: 0 }, { bob: 3, carol: 1 }, { bob: 0, carol: 1 }]);
  assert.deepEqual(log.changes, [{ bob: 3, carol: 0 }, { carol: 1 }, { bob: 0 }]);
  assert.deepEqual(log.states, ["streaming"]);
  assert.deepEqual(server.seen.map(({ path }) => path), [POLL, STREAM]);
  const [, asked] = server.seen;
  assert.equal(asked.url, `${STREAM}?self=alice&users=bob,carol`);
  assert.equal(asked.headers.authorization, "Bearer jwt");
  assert.equal(asked.headers.accept, "text/event-stream");
});

const TEXT =
  '\uFEFFid: 1\r\nevent: unread\r\ndata: {"小明":1,\r\ndata:"bob":2}\r\n\r\n' +
  ': heartbeat\r\r: another\n\nevent: other\ndata: {"bob":50}\n\nid: 2\ndata: {"bob":3}\r\r' +
  "retry: 5\nnonsense\n\ndata: {\"bob\":4}\n\ndata: {\"bob\":9}";
const BYTES = new TextEncoder().encode(TEXT);

for (const size of [1, 2, 3, 7, 64, BYTES.length]) {
  test(`the stream is read the same in pieces of ${size}`, async (t) => {
    const pieces = [];
    for (let at = 0; at < BYTES.length; at += size) pieces.push(BYTES.slice(at, at + size));
    const log = recorded(t, createClient({ fetch: fetchOf({ 小明: 0, bob: 0 }, pieces) }), ["bob", "小明"]);
    await log.until(() => log.maps.at(-1)?.bob === 4);
    const maps = [{ 小明: 0, bob: 0 }, { 小明: 1, bob: 2 }, { 小明: 1, bob: 3 }, { 小明: 1, bob: 4 }];
    assert.deepEqual(log.maps, maps);
  });
}

test("a stream that was ended in order is no outage, and the next reports only what is different", async (t) => {
  let first;
  const server = await serveBoth(t, { bob: 1, carol: 2 }, (_, response, n) => {
    first = first ?? response;
    startStream(response, event({ bob: 1, carol: n === 1 ? 2 : 3 }));
  });
  const log = recorded(t, client(server), ["bob", "carol"]);
  await log.until(() => log.states.length > 0);
  await quiet(20); // from here, and not from when it was sent: it has to last longer than `pollInterval`
  first.end();
  await log.until(() => log.maps.length === 2);
  assert.deepEqual(log.changes, [{ bob: 1, carol: 2 }, { carol: 3 }]);
  assert.deepEqual(log.states, ["streaming"]);
});

test("streams that fail are tried again later each time, with polls in their place", async (t) => {
  t.mock.method(Math, "random", () => 1);
  const server = await serveBoth(t, { bob: 1 }, (_, response) => response.destroy());
  const log = recorded(t, client(server), ["bob"], { backoff: 40, maxBackoff: 1_000 });
  while (of(server, STREAM).length < 4) await quiet(2);
  const at = of(server, STREAM).map((asked) => asked.at);
  const pauses = at.slice(1).map((time, n) => time - at[n]);
  for (const [n, pause] of pauses.entries()) assert.ok(pause >= 40 * 2 ** n - 2, `pause ${n}: ${pause} ms`);
  assert.deepEqual([log.states, log.maps], [["polling"], [{ bob: 1 }]]);
});

test("by chance a stream comes again at a tenth of its pause: clients do not return all at once", async (t) => {
  t.mock.method(Math, "random", () => 0);
  const server = await serveBoth(t, { bob: 1 }, (_, response) => response.destroy());
  recorded(t, client(server), ["bob"], { backoff: 5_000, maxBackoff: 5_000 });
  while (of(server, STREAM).length < 2) await quiet(2);
  const [first, second] = of(server, STREAM).map((asked) => asked.at);
  assert.ok(second - first >= 500 - 2 && second - first < 2_500, `${second - first} ms`);
});

for (const [path, chance, times] of [[STREAM, 0, 1], [STREAM, 1, 1.5], [POLL, 0, 1], [POLL, 1, 1.5]]) {
  test(`Retry-After of ${path} is the least, times ${times} by chance`, async (t) => {
    t.mock.method(Math, "random", () => chance);
    const refuse = (response) => problem(response, 503, { code: "overloaded" }, { "Retry-After": "1" });
    const server = await serve(t, (asked, response, n) => {
      if (asked.path === path && n === 1) refuse(response);
      else if (asked.path === STREAM) startStream(response, event({ bob: 1 }));
      else json(response, { bob: 1 });
    });
    const log = recorded(t, client(server), ["bob"]);
    await log.until(() => log.states.includes("streaming"));
    const [first, second] = of(server, path);
    const waited = second.at - first.at;
    assert.ok(waited >= times * 1_000 - 10, `${waited} ms`);
    assert.deepEqual(log.states, [path === STREAM ? "polling" : "offline", "streaming"]);
  });
}

test("silence is a broken stream, heartbeats are not silence", async (t) => {
  const server = await serveBoth(t, { bob: 0 }, (_, response, n) => {
    startStream(response, event({ bob: n }));
    if (n > 1) return;
    let beats = 0;
    const timer = setInterval(() => (++beats <= 15 ? response.write(":\n\n") : clearInterval(timer)), 100);
  });
  const log = recorded(t, client(server), ["bob"], { silence: 1_000 });
  await log.until(() => log.maps.at(-1)?.bob === 2);
  const [first, second] = of(server, STREAM);
  assert.ok(second.at - first.at >= 15 * 100 + 990, `${second.at - first.at} ms`);
  assert.ok(first.closed, "the silent connection is hung up");
});

test("a machine that has slept finds its stream silent at once", async (t) => {
  const server = await serveBoth(t, { bob: 0 }, (_, response, n) => startStream(response, event({ bob: n })));
  const log = recorded(t, client(server), ["bob"], { silence: 60_000, firstEvent: 40 });
  await log.until(() => log.maps.at(-1)?.bob === 1);
  const now = Date.now;
  t.mock.method(Date, "now", () => now() + 120_000);
  await log.until(() => log.maps.at(-1).bob === 2);
  assert.ok(of(server, STREAM)[0].closed);
});

test("a stream that is held back on its way costs nobody the counts, and is given up", async (t) => {
  let polls = 0;
  const server = await serveBoth(t, (_, response) => json(response, { bob: ++polls }), (_, response) => {
    startStream(response, ":\n\n");
  });
  const log = recorded(t, client(server), ["bob"], { firstEvent: 250 });
  await log.until(() => log.maps.length === 3);
  assert.equal(of(server, STREAM).length, 1);
  assert.deepEqual(log.states, [], "polled meanwhile, but the stream may still come");
  await log.until(() => log.states.length === 1);
  assert.deepEqual(log.states, ["polling"]);
  while (!of(server, STREAM)[0].closed) await quiet(1);
});

for (const status of [404, 406, 501]) {
  test(`polls with 304 at once where the stream is ${status}`, async (t) => {
    let version = 1;
    const server = await serve(t, (asked, response, n) => {
      if (asked.path === STREAM) return problem(response, status, { code: "not_found" });
      if (n === 5) version = 2;
      const etag = `"v${version}"`;
      if (asked.headers["if-none-match"] === etag) response.writeHead(304, { ETag: etag }).end();
      else json(response, { bob: version }, { ETag: etag });
    });
    const log = recorded(t, client(server), ["bob"]);
    await log.until(() => log.maps.length === 2);
    assert.deepEqual(log.maps, [{ bob: 1 }, { bob: 2 }]);
    assert.deepEqual(log.states, ["polling"]);
    const tags = of(server, POLL).slice(0, 4).map((asked) => asked.headers["if-none-match"]);
    assert.deepEqual(tags, [undefined, '"v1"', '"v1"', '"v1"']);
    assert.equal(of(server, STREAM).length, 1);
  });
}

test("a reader with too many streams polls at once, whatever Retry-After says of the stream", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.path === STREAM) problem(response, 429, { code: "too_many_streams" }, { "Retry-After": "5" });
    else json(response, { bob: 1 });
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.states.length > 0);
  assert.deepEqual([log.states, log.maps], [["polling"], [{ bob: 1 }]]);
});

test("an answer that is no event stream means polling", async (t) => {
  const server = await serve(t, (_, response) => json(response, { bob: 5 }));
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.states[0] === "polling");
  assert.deepEqual(log.maps, [{ bob: 5 }]);
});

test("goes back to the stream now and then", async (t) => {
  const server = await serveBoth(t, { bob: 1 }, (_, response, n) => {
    if (n < 3) return problem(response, 404, { code: "not_found" });
    startStream(response, event({ bob: 2 }));
  });
  const log = recorded(t, client(server), ["bob"], { streamRetry: 10 });
  await log.until(() => log.maps.length === 2);
  assert.deepEqual(log.states, ["polling", "streaming"]);
});

test("an outage: offline, the map stays, then the stream as soon as a poll is answered", async (t) => {
  let down = false;
  const server = await serve(t, (asked, response, n) => {
    if (down) return response.destroy();
    if (asked.path === POLL) return json(response, { bob: n > 2 ? 3 : 1 });
    startStream(response, event({ bob: of(server, POLL).length > 2 ? 3 : 1 }));
    if (n > 1) return;
    setTimeout(() => {
      down = true;
      response.destroy();
    }, 20);
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.states.includes("offline"));
  const streams = of(server, STREAM).length;
  const polls = of(server, POLL).length;
  while (of(server, POLL).length < polls + 3) await quiet(2);
  assert.deepEqual(log.maps, [{ bob: 1 }], "no made-up map while there is none");
  assert.ok(of(server, STREAM).length <= streams + 1, "one knocks for both");
  down = false;
  await log.until(() => log.states.at(-1) === "streaming" && log.maps.at(-1).bob === 3);
  assert.deepEqual(log.states.filter((state) => state !== "polling"), ["streaming", "offline", "streaming"]);
});

test("a stream that is always cut short is no better than polling", async (t) => {
  const server = await serveBoth(t, { bob: 1 }, (_, response) => {
    startStream(response, event({ bob: 1 }));
    response.end();
  });
  const log = recorded(t, client(server), ["bob"], { pollInterval: 300, backoff: 100, maxBackoff: 100_000 });
  await log.until(() => log.states.includes("polling"));
  await quiet(600);
  assert.ok(of(server, STREAM).length <= 6, `${of(server, STREAM).length} streams`);
});

for (const [status, code] of [[401, "unauthorized"], [403, "forbidden"], [422, "invalid"]]) {
  for (const where of [STREAM, POLL]) {
    test(`${status} from ${where} ends the watch`, async (t) => {
      const server = await serve(t, (asked, response) => {
        if (asked.path === where) problem(response, status, { code, detail: "no" });
        else json(response, { bob: 1 });
      });
      const log = recorded(t, client(server), ["bob"]);
      await log.until(() => log.errors.length === 1);
      await quiet(30);
      assert.deepEqual([log.errors[0].status, log.errors[0].code], [status, code]);
      assert.equal(log.errors.length, 1);
      assert.equal(of(server, where).length, 1);
      assert.deepEqual([log.maps, log.states], [where === POLL ? [] : [{ bob: 1 }], ["offline"]]);
    });
  }
}

test("an event that is not a map of counts breaks the stream", async (t) => {
  const server = await serveBoth(t, { bob: 1 }, (_, response, n) => {
    startStream(response, event({ bob: 1 }), n === 1 ? "data: {\"bob\":null}\n\n" : event({ bob: 2 }));
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.maps.at(-1)?.bob === 2);
  assert.deepEqual(log.maps, [{ bob: 1 }, { bob: 2 }]);
});

test("close() hangs up, and nothing is called or asked after it", async (t) => {
  const server = await serveBoth(t, { bob: 1 }, (_, response) => startStream(response, event({ bob: 1 })));
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.states.length === 1);
  log.close();
  log.close();
  while (!of(server, STREAM)[0].closed) await quiet(1);
  await quiet(30);
  assert.equal(of(server, STREAM).length, 1);
  assert.deepEqual([log.maps.length, log.states, log.errors], [1, ["streaming"], []]);
});

test("close() during a back-off, a poll or a callback, and a signal, end it too", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.path === STREAM) problem(response, 404);
    else if (asked.url.includes("self=away")) problem(response, 503);
    else if (!asked.url.includes("self=slow")) json(response, { bob: 1 });
  });
  const waiting = recorded(t, client(server), ["bob"], { backoff: 60_000, maxBackoff: 60_000 }, "away");
  await waiting.until(() => waiting.states[0] === "offline");
  waiting.close();
  const asking = recorded(t, client(server), ["bob"], {}, "slow");
  while (of(server, POLL).length < 2) await quiet(1);
  asking.close();
  const stop = new AbortController();
  const signalled = recorded(t, client(server), ["bob"], { signal: stop.signal });
  await signalled.until(() => signalled.maps.length === 1);
  stop.abort();
  recorded(t, client(server), ["bob"], { signal: AbortSignal.abort() });
  const asked = server.seen.length;
  await quiet(30);
  assert.ok(server.seen.length <= asked + 1, "but for what was on its way");
  assert.deepEqual([asking.states, asking.errors, waiting.errors], [[], [], []]);
});

test("nothing is called after a close() from within a callback", async (t) => {
  const server = await serveBoth(t, { bob: 0 }, (_, response) => {
    startStream(response, event({ bob: 1 }) + event({ bob: 2 }));
  });
  const maps = [];
  const handle = client(server).watch("alice", ["bob"], (map) => {
    maps.push(map);
    if (map.bob === 1) handle.close();
  });
  t.after(() => handle.close());
  while (!of(server, STREAM)[0]?.closed) await quiet(1);
  assert.deepEqual(maps, [{ bob: 0 }, { bob: 1 }]);
});

test("a callback that spoils its map or throws harms nobody", async (t) => {
  const thrown = [];
  const later = globalThis.setTimeout;
  t.mock.method(globalThis, "setTimeout", (task, ...more) => {
    const caught = (...values) => {
      try {
        task(...values);
      } catch (error) {
        thrown.push(error.message);
      }
    };
    return later(caught, ...more);
  });
  const server = await serveBoth(t, { bob: 1, carol: 1 }, (_, response) => {
    startStream(response, event({ bob: 2 }), event({ bob: 3 }));
  });
  const maps = [];
  const handle = client(server).watch("alice", ["bob", "carol"], (map) => {
    maps.push({ ...map });
    map.carol = 99;
    throw new Error("a page's own mistake");
  });
  t.after(() => handle.close());
  while (maps.length < 3 || thrown.length < 3) await quiet(1);
  assert.deepEqual(maps.at(-1), { bob: 3, carol: 1 });
  assert.ok(thrown.every((message) => message === "a page's own mistake"), `${thrown}`);
});

test("many users are several requests and several streams of one map", async (t) => {
  const users = Array.from({ length: 1_200 }, (_, n) => `u${n}`);
  const ids = (asked) => (asked.body ? JSON.parse(asked.body).users : new URLSearchParams(asked.url).get("users").split(","));
  const of1 = (asked, count) => Object.fromEntries(ids(asked).map((user) => [user, count]));
  const server = await serveBoth(t, (asked, response) => json(response, of1(asked, 1)), (asked, response) => {
    startStream(response, event(of1(asked, 1)), event({ [ids(asked)[0]]: 2 }));
  });
  const log = recorded(t, client(server), users);
  await log.until(() => ["u0", "u500", "u1000"].every((user) => log.maps.at(-1)?.[user] === 2));
  assert.equal(Object.keys(log.maps[0]).length, 1_200, "no part without the others");
  for (const path of [POLL, STREAM]) assert.deepEqual(of(server, path).slice(0, 3).map((asked) => ids(asked).length), [500, 500, 200]);
  assert.deepEqual(log.states, ["streaming"]);
});

test("too many users for three streams are polled for", async (t) => {
  const users = Array.from({ length: 500 }, (_, n) => `${"a-rather-long-user-id-".repeat(3)}${n}`);
  const server = await serve(t, (asked, response) => json(response, { [JSON.parse(asked.body).users[0]]: 1 }));
  const log = recorded(t, client(server), users);
  await log.until(() => log.states.length === 1);
  assert.deepEqual(log.states, ["polling"]);
  const parts = server.seen.map((asked) => Buffer.byteLength(asked.body));
  assert.ok(server.seen.every((asked) => asked.method === "POST") && Math.max(...parts) < 65_536, `${parts}`);
});

test("nobody to watch is an empty map, and no request", async (t) => {
  const asked = [];
  const maps = [];
  const nobody = createClient({ fetch: (...request) => asked.push(request), token: () => asked.push("token") });
  await new Promise((resolve) => {
    const handle = nobody.watch("alice", [], (...given) => resolve(maps.push(given)));
    t.after(() => handle.close());
  });
  assert.deepEqual([maps, asked], [[[{}, {}]], []]);
});

/** Polls of counts answered with `map`, of the total with `total`. */
const answering = (map, total) => (asked, response) => json(response, asked.path === TOTAL ? total : map);

test("the total comes by the same stream, and is told when it changes", async (t) => {
  const server = await serveBoth(t, answering({ bob: 1 }, { messages: 5, users: 2 }), (_, response) => {
    startStream(response, event({ bob: 1 }), totalEvent(5, 2), totalEvent(6, 2), event({ bob: 2 }), totalEvent(6, 3));
  });
  const log = recorded(t, client(server), ["bob"], { onTotal: true, pollInterval: 60_000 });
  await log.until(() => log.totals.length === 3);
  assert.deepEqual(log.totals, [{ messages: 5, users: 2 }, { messages: 6, users: 2 }, { messages: 6, users: 3 }]);
  assert.deepEqual([log.maps, log.changes], [[{ bob: 1 }, { bob: 2 }], [{ bob: 1 }, { bob: 2 }]]);
  assert.deepEqual(log.states, ["streaming"]);
  assert.deepEqual(server.seen.map(({ path }) => path).sort(), [POLL, STREAM, TOTAL]);
  assert.equal(of(server, STREAM)[0].url, `${STREAM}?self=alice&users=bob&total=1`);
});

test("a stream has begun once map and total are there", async (t) => {
  let stream;
  const server = await serveBoth(t, answering({ bob: 1 }, { messages: 5, users: 2 }), (_, response) => {
    stream = response;
    startStream(response, event({ bob: 1 }));
  });
  const log = recorded(t, client(server), ["bob"], { onTotal: true });
  while (of(server, TOTAL).length < 4) await quiet(2);
  assert.deepEqual(log.states, [], "it polls on");
  stream.write(totalEvent(5, 2));
  await log.until(() => log.states[0] === "streaming");
});

test("without users the total alone is watched, and the map is empty", async (t) => {
  const server = await serveBoth(t, answering({}, { messages: 0, users: 0 }), (_, response) => {
    startStream(response, totalEvent(0, 0), totalEvent(1, 1));
  });
  const log = recorded(t, client(server), [], { onTotal: true, pollInterval: 60_000 });
  await log.until(() => log.totals.length === 2);
  assert.deepEqual([log.totals, log.maps], [[{ messages: 0, users: 0 }, { messages: 1, users: 1 }], [{}]]);
  assert.deepEqual(server.seen.map(({ url }) => url), [`${TOTAL}?self=alice`, `${STREAM}?self=alice&total=1`]);
});

test("where there is no stream the total is polled, and an outage is no zero", async (t) => {
  const total = { messages: 5, users: 2 };
  const server = await serveBoth(
    t,
    (asked, response) => {
      if (server.fails && asked.path === TOTAL) problem(response, 503, { code: "store_unavailable" });
      else answering({ bob: 1 }, total)(asked, response);
    },
    (_, response) => problem(response, 404),
  );
  const log = recorded(t, client(server), ["bob"], { onTotal: true });
  await log.until(() => log.totals.length === 1 && log.states.at(-1) === "polling");
  server.fails = true;
  await log.until(() => log.states.at(-1) === "offline");
  total.messages = 6;
  server.fails = false;
  await log.until(() => log.totals.length === 2);
  assert.deepEqual([log.totals, log.maps], [[{ messages: 5, users: 2 }, { messages: 6, users: 2 }], [{ bob: 1 }]]);
});

test("no total is told once the watch is closed", async (t) => {
  const server = await serveBoth(t, answering({ bob: 1 }, { messages: 5, users: 2 }), () => {});
  const totals = [];
  const watch = client(server).watch("alice", ["bob"], () => watch.close(), { onTotal: (total) => totals.push(total) });
  while (of(server, TOTAL).length === 0) await quiet(2);
  await quiet(50);
  assert.deepEqual(totals, []);
});
