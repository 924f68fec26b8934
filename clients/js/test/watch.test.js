// The live map: the stream and its bytes, what happens when it breaks, and polling in its place.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "../index.js";
import { event, fetchOf, json, POLL, problem, quiet, recorded, serve, startStream, STREAM } from "./support.js";

const client = (server, more) => createClient({ baseUrl: server.url, token: "jwt", ...more });
const of = (server, path) => server.seen.filter((asked) => asked.path === path);

test("the first event is the whole map, later ones are merged", async (t) => {
  const server = await serve(t, (_, response) => {
    startStream(response, event({ bob: 3, carol: 0 }), ": still here\n\n", event({ carol: 1 }), event({ carol: 1 }));
    response.write(event({ bob: 0 }));
  });
  const log = recorded(t, client(server), ["bob", "carol"]);
  await log.until(() => log.maps.length === 3);
  assert.deepEqual(log.maps, [{ bob: 3, carol: 0 }, { bob: 3, carol: 1 }, { bob: 0, carol: 1 }]);
  assert.deepEqual(log.changes, [{ bob: 3, carol: 0 }, { carol: 1 }, { bob: 0 }]);
  assert.deepEqual(log.states, ["streaming"]);
  const [asked] = server.seen;
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
    const log = recorded(t, createClient({ fetch: fetchOf(pieces) }), ["bob", "小明"]);
    await log.until(() => log.maps.at(-1)?.bob === 4);
    assert.deepEqual(log.maps, [{ 小明: 1, bob: 2 }, { 小明: 1, bob: 3 }, { 小明: 1, bob: 4 }]);
  });
}

test("comes back with Last-Event-ID, and reports only what is different", async (t) => {
  const server = await serve(t, (_, response, n) => {
    startStream(response, n === 1 ? event({ bob: 1, carol: 2 }, "seven 7") : event({ bob: 1, carol: 3 }, "8"));
    if (n === 1) response.end();
  });
  const log = recorded(t, client(server), ["bob", "carol"]);
  await log.until(() => log.maps.length === 2);
  assert.deepEqual(log.changes, [{ bob: 1, carol: 2 }, { carol: 3 }]);
  assert.deepEqual(server.seen.map((asked) => asked.headers["last-event-id"]), [undefined, "seven 7"]);
  assert.deepEqual(log.states, ["streaming"], "a stream that was ended in order is no outage");
});

test("backs off further each time, then polls", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.path === STREAM) response.destroy();
    else json(response, { bob: 1 });
  });
  const log = recorded(t, client(server), ["bob"], { backoff: 40, maxBackoff: 1_000, maxFailures: 4 });
  await log.until(() => log.states.includes("polling"));
  const at = of(server, STREAM).map((asked) => asked.at);
  const pauses = at.slice(1).map((time, n) => time - at[n]);
  assert.equal(pauses.length, 3);
  for (const [n, pause] of pauses.entries()) assert.ok(pause >= 20 * 2 ** n - 2, `pause ${n}: ${pause} ms`);
  assert.deepEqual(log.states, ["offline", "polling"]);
  assert.deepEqual(log.maps, [{ bob: 1 }]);
});

test("waits as long as Retry-After asks", async (t) => {
  const server = await serve(t, (_, response, n) => {
    if (n === 1) problem(response, 503, { code: "overloaded" }, { "Retry-After": "1" });
    else startStream(response, event({ bob: 1 }));
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.maps.length === 1);
  const [first, second] = server.seen;
  assert.ok(second.at - first.at >= 990, `${second.at - first.at} ms`);
  assert.deepEqual(log.states, ["offline", "streaming"]);
});

test("silence is a broken stream, heartbeats are not silence", async (t) => {
  const server = await serve(t, (_, response, n) => {
    startStream(response, event({ bob: n }));
    if (n > 1) return;
    let beats = 0;
    const timer = setInterval(() => (++beats <= 5 ? response.write(":\n\n") : clearInterval(timer)), 150);
  });
  const log = recorded(t, client(server), ["bob"], { silence: 500 });
  await log.until(() => log.maps.length === 2);
  const [first, second] = server.seen;
  assert.ok(second.at - first.at >= 5 * 150 + 490, `${second.at - first.at} ms`);
  assert.ok(first.closed, "the silent connection is hung up");
  assert.deepEqual(log.states.slice(0, 3), ["streaming", "offline", "streaming"]);
});

test("a stream that is held back on its way is given up for polling", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.path === POLL) return json(response, { bob: 2 });
    startStream(response, ":\n\n");
  });
  const log = recorded(t, client(server), ["bob"], { firstEvent: 250 });
  await log.until(() => log.maps.length === 1);
  assert.equal(of(server, STREAM).length, 1);
  assert.deepEqual(log.states, ["polling"]);
});

for (const status of [404, 406, 501]) {
  test(`polls with 304 at once where the stream is ${status}`, async (t) => {
    let version = 1;
    const server = await serve(t, (asked, response, n) => {
      if (asked.path === STREAM) return problem(response, status, { code: "not_found" });
      if (n === 4) version = 2;
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
  assert.ok(server.seen[1].at - server.seen[0].at < 2_000);
});

test("an answer that is no event stream means polling", async (t) => {
  const server = await serve(t, (_, response) => json(response, { bob: 5 }));
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.states[0] === "polling");
  assert.deepEqual(log.maps, [{ bob: 5 }]);
});

test("goes back to the stream now and then", async (t) => {
  const server = await serve(t, (asked, response, n) => {
    if (asked.path === POLL) return json(response, { bob: 1 });
    if (n < 3) return problem(response, 404, { code: "not_found" });
    startStream(response, event({ bob: 2 }));
  });
  const log = recorded(t, client(server), ["bob"], { streamRetry: 10 });
  await log.until(() => log.maps.length === 2);
  assert.deepEqual(log.states, ["polling", "streaming"]);
});

test("an outage: offline, the map stays, then polling, and the stream at once", async (t) => {
  let down = false;
  const server = await serve(t, (asked, response) => {
    if (down) return response.destroy();
    if (asked.path === POLL) return json(response, { bob: 2 });
    startStream(response, event({ bob: of(server, POLL).length > 2 ? 3 : 1 }));
    if (of(server, STREAM).length === 1) {
      down = true;
      setTimeout(() => response.destroy(), 10);
    }
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.states.includes("offline"));
  while (of(server, POLL).length < 3) await quiet(2);
  assert.deepEqual(log.maps, [{ bob: 1 }], "no made-up map while there is none");
  down = false;
  await log.until(() => log.states.at(-1) === "streaming" && log.maps.at(-1).bob === 3);
  assert.deepEqual(log.states, ["streaming", "offline", "polling", "streaming"]);
});

test("a stream that is always cut short is not tried for ever", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.path === POLL) return json(response, { bob: 1 });
    startStream(response, event({ bob: 1 }));
    response.end();
  });
  const log = recorded(t, client(server), ["bob"], { pollInterval: 10_000 });
  await log.until(() => log.states.includes("polling"));
  assert.equal(of(server, STREAM).length, 3);
});

for (const [status, code] of [[401, "unauthorized"], [403, "forbidden"], [422, "invalid"]]) {
  for (const where of [STREAM, POLL]) {
    test(`${status} from ${where} ends the watch`, async (t) => {
      const server = await serve(t, (asked, response) => {
        if (asked.path === where) problem(response, status, { code, detail: "no" });
        else problem(response, 404, { code: "not_found" });
      });
      const log = recorded(t, client(server), ["bob"]);
      await log.until(() => log.errors.length === 1);
      await quiet(30);
      assert.deepEqual([log.errors[0].status, log.errors[0].code], [status, code]);
      assert.equal(log.errors.length, 1);
      assert.equal(of(server, where).length, 1);
      assert.deepEqual([log.maps, log.states], [[], ["offline"]]);
    });
  }
}

test("an event that is not a map of counts breaks the stream", async (t) => {
  const server = await serve(t, (_, response, n) => {
    startStream(response, event({ bob: 1 }), n === 1 ? "data: {\"bob\":null}\n\n" : event({ bob: 2 }));
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.maps.at(-1)?.bob === 2);
  assert.deepEqual(log.maps, [{ bob: 1 }, { bob: 2 }]);
});

test("close() hangs up, and nothing is called or asked after it", async (t) => {
  const server = await serve(t, (asked, response, n) => {
    if (asked.path === STREAM) startStream(response, event({ bob: 1 }));
    else json(response, { bob: n });
  });
  const log = recorded(t, client(server), ["bob"]);
  await log.until(() => log.maps.length === 1);
  log.close();
  log.close();
  while (!server.seen[0].closed) await quiet(1);
  await quiet(30);
  assert.equal(server.seen.length, 1);
  assert.deepEqual([log.maps.length, log.states, log.errors], [1, ["streaming"], []]);
});

test("close() during a back-off, a poll or a callback, and a signal, end it too", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.path === STREAM) problem(response, asked.url.includes("self=away") ? 503 : 404);
    else if (!asked.url.includes("self=slow")) json(response, { bob: 1 });
  });
  const waiting = recorded(t, client(server), ["bob"], { backoff: 60_000, maxBackoff: 60_000 }, "away");
  await waiting.until(() => waiting.states[0] === "offline");
  waiting.close();
  const asking = recorded(t, client(server), ["bob"], {}, "slow");
  while (of(server, POLL).length === 0) await quiet(1);
  asking.close();
  const stop = new AbortController();
  const signalled = recorded(t, client(server), ["bob"], { signal: stop.signal });
  await signalled.until(() => signalled.maps.length === 1);
  stop.abort();
  recorded(t, client(server), ["bob"], { signal: AbortSignal.abort() });
  const asked = server.seen.length;
  await quiet(30);
  assert.equal(server.seen.length, asked);
  assert.deepEqual([asking.states, asking.errors, waiting.errors], [[], [], []]);
});

test("nothing is called after a close() from within a callback", async (t) => {
  const server = await serve(t, (_, response) => startStream(response, event({ bob: 1 }) + event({ bob: 2 })));
  const maps = [];
  const handle = client(server).watch("alice", ["bob"], (map) => {
    maps.push(map);
    handle.close();
  });
  t.after(() => handle.close());
  while (!server.seen[0]?.closed) await quiet(1);
  assert.deepEqual(maps, [{ bob: 1 }]);
});

test("a callback that spoils its map or throws harms nobody", async (t) => {
  const thrown = [];
  const later = globalThis.queueMicrotask;
  t.mock.method(globalThis, "queueMicrotask", (task) => {
    const caught = () => {
      try {
        task();
      } catch (error) {
        thrown.push(error.message);
      }
    };
    later(caught);
  });
  const server = await serve(t, (_, response) => {
    startStream(response, event({ bob: 1, carol: 1 }), event({ bob: 2 }), event({ bob: 3 }));
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
  assert.ok(thrown.length >= 3 && thrown.every((message) => message === "a page's own mistake"), `${thrown}`);
});

test("many users are polled for by POST", async (t) => {
  const users = Array.from({ length: 500 }, (_, n) => `a-rather-long-user-id-${n}`);
  const server = await serve(t, (asked, response) => json(response, { [JSON.parse(asked.body).users[499]]: 1 }));
  const log = recorded(t, client(server), users);
  await log.until(() => log.maps.length === 1);
  assert.deepEqual(log.maps, [{ "a-rather-long-user-id-499": 1 }]);
  assert.ok(server.seen.every((asked) => asked.method === "POST"));
});
