// Mistakes, which are no outage: an address that cannot be one, an id that is none, and errors of a program.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient, OtcImError } from "../index.js";
import { json, quiet, recorded, serve, STREAM } from "./support.js";

const thrown = (call) => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was thrown");
};
const rejected = (promise) => promise.then(assert.fail, (error) => error);

for (const baseUrl of [undefined, "", "/", "/im", "im", "http://", "ftp://im.test", "http://im.test:99999", "http://a:b@im.test"]) {
  test(`without a page, a client for ${JSON.stringify(baseUrl)} is not made`, () => {
    const error = thrown(() => createClient({ baseUrl }));
    assert.ok(error instanceof OtcImError);
    assert.deepEqual([error.code, error.status], ["bad_base_url", 0]);
    assert.match(error.message, /`baseUrl`/);
  });
}

test("an absolute address will do, and so will a page, a worker or a fetch of one's own", async (t) => {
  for (const baseUrl of ["http://im.test", "https://im.test/", "HTTPS://[::1]:8443/im/"]) createClient({ baseUrl });
  const asked = [];
  const own = async (url) => asked.push(url) && new Response('{"bob":1}');
  assert.deepEqual(await createClient({ baseUrl: "/im", fetch: own }).unread("alice", ["bob"]), { bob: 1 });
  globalThis.location = { href: "http://worker.test/" };
  t.after(() => delete globalThis.location);
  t.mock.method(globalThis, "fetch", own);
  assert.deepEqual(await createClient().unread("alice", ["bob"]), { bob: 1 });
  assert.deepEqual(asked, ["/im/v1/unread?self=alice&users=bob", "/v1/unread?self=alice&users=bob"]);
});

test("only what fetch or a body throws is the network's", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write('{"bob":');
    setTimeout(() => response.destroy(), 10);
  });
  assert.equal((await rejected(createClient({ baseUrl: server.url }).unread("alice", ["bob"]))).code, "network");
  const many = Array.from({ length: 300 }, (_, n) => `user-${n}`);
  assert.equal((await rejected(createClient({ baseUrl: server.url }).unread("alice", many))).code, "network");
  const cause = new TypeError("Failed to fetch");
  const away = createClient({ fetch: () => Promise.reject(cause) });
  const error = await rejected(away.unread("alice", ["bob"]));
  assert.deepEqual([error.code, error.cause], ["network", cause]);
  for (const odd of [async () => undefined, async () => ({ ok: true, status: 200, text: async () => "{}" }), 7]) {
    const own = await rejected(createClient({ fetch: odd }).unread("alice", ["bob"]));
    assert.ok(own instanceof TypeError, `${own}`);
  }
});

/** Answers polls as a service does, and streams with something that has no headers. */
const oddStream = async (url) => (url.includes(STREAM) ? { ok: true, status: 200 } : new Response('{"bob":1}'));

for (const [where, fetch] of [["poll", async () => undefined], ["stream", oddStream]]) {
  test(`a programming error in a ${where} ends the watch, and is told as itself`, { timeout: 5000 }, async (t) => {
    let asked = 0;
    const counting = (...request) => ++asked && fetch(...request);
    const log = recorded(t, createClient({ fetch: counting }), ["bob"], { pollInterval: 60_000 });
    await log.until(() => log.errors.length > 0 || log.states.length > 0);
    const before = asked;
    await quiet(50);
    assert.equal(asked, before, "nothing more is asked");
    assert.deepEqual([log.errors.length, log.states], [1, ["offline"]]);
    assert.ok(log.errors[0] instanceof TypeError, `${log.errors[0]}`);
  });
}

test("a programming error that nobody listens for is uncaught", async (t) => {
  const later = globalThis.setTimeout;
  const uncaught = new Promise((resolve) => {
    t.mock.method(globalThis, "setTimeout", (task, ...more) => {
      const caught = () => {
        try {
          task();
        } catch (error) {
          resolve(error);
        }
      };
      return later(caught, ...more);
    });
  });
  recorded(t, createClient({ fetch: async () => undefined }), ["bob"], { onError: undefined });
  assert.ok((await Promise.race([uncaught, quiet(1000)])) instanceof TypeError);
});

const LONE = "bad\uD800";
const MANY = Array.from({ length: 300 }, (_, n) => `user-${n}`);

for (const [what, self, users] of [
  ["a user", "alice", ["bob", LONE]],
  ["one of many users", "alice", [...MANY, LONE]],
  ["the reader", LONE, ["bob"]],
  ["the reader of many users", LONE, MANY],
]) {
  test(`an id with half a character is named as the cause: ${what}`, async (t) => {
    const asked = [];
    const client = createClient({ fetch: async (url) => asked.push(url) && new Response("{}") });
    const told = recorded(t, client, users, {}, self);
    const error = await rejected(client.unread(self, users));
    await told.until(() => told.errors.length > 0);
    await quiet(20);
    for (const one of [error, ...told.errors]) {
      assert.ok(one instanceof OtcImError);
      assert.deepEqual([one.code, one.status], ["bad_user", 0]);
      assert.match(one.message, /"bad\\ud800"/);
    }
    assert.deepEqual([told.errors.length, told.states, asked], [1, ["offline"], []]);
  });
}

test("half a character in the reader of a total is named as the cause too", async (t) => {
  const client = createClient({ fetch: async () => new Response("{}") });
  const log = recorded(t, client, [], { onTotal: () => {} }, LONE);
  await log.until(() => log.errors.length > 0);
  for (const { code } of [await rejected(client.total(LONE)), ...log.errors]) assert.equal(code, "bad_user");
});

test("numbers are ids, by GET, by POST and in a watch", async (t) => {
  const server = await serve(t, (asked, response) => json(response, asked.body ? { 7: 2 } : { 7: 1 }));
  const client = createClient({ baseUrl: server.url });
  assert.deepEqual(await client.unread(12, [7, 8]), { 7: 1 });
  assert.deepEqual(await client.unread(12, [7, ...MANY]), { 7: 2 });
  assert.equal(server.seen[0].url, "/v1/unread?self=12&users=7,8");
  assert.deepEqual(JSON.parse(server.seen[1].body), { self: "12", users: ["7", ...MANY] });
  const log = recorded(t, client, [7], {}, 12);
  await log.until(() => log.maps.length > 0);
  assert.deepEqual(log.maps[0], { 7: 1 });
});
