// One call: what is sent, what a 304 means, which error becomes what.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient, OtcImError } from "../index.js";
import { json, problem, serve } from "./support.js";

test("asks with a GET, each id percent-encoded", async (t) => {
  const server = await serve(t, (_, response) => json(response, { "a,b": 1, 小明: 2 }));
  const client = createClient({ baseUrl: `${server.url}/`, token: "jwt" });
  assert.deepEqual(await client.unread("alice & co", ["a,b", "小明"]), { "a,b": 1, 小明: 2 });
  const [asked] = server.seen;
  assert.equal(asked.method, "GET");
  // With a comma in an id, each `users` is one id.
  assert.equal(asked.url, "/v1/unread?self=alice%20%26%20co&users=a%2Cb&users=%E5%B0%8F%E6%98%8E&users=a%2Cb");
  assert.equal(asked.headers.authorization, "Bearer jwt");
  await client.unread("alice", ["bob", "carol"]);
  assert.equal(server.seen[1].url, "/v1/unread?self=alice&users=bob,carol");
});

test("asks a token function each time, and sends nothing without a token", async (t) => {
  const server = await serve(t, (_, response) => json(response, {}));
  let made = 0;
  const client = createClient({ baseUrl: server.url, token: async () => `jwt${++made}` });
  await client.unread("alice", ["bob"]);
  await client.unread("alice", ["bob"]);
  await createClient({ baseUrl: server.url }).unread("alice", ["bob"]);
  assert.deepEqual(server.seen.map((asked) => asked.headers.authorization), ["Bearer jwt1", "Bearer jwt2", undefined]);
});

test("a 304 is the remembered map, which callers cannot spoil", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (asked.headers["if-none-match"] === '"v1"') response.writeHead(304, { ETag: '"v1"' }).end();
    else json(response, { bob: 3 }, { ETag: '"v1"' });
  });
  const client = createClient({ baseUrl: server.url });
  const first = await client.unread("alice", ["bob"]);
  first.bob = 99;
  const second = await client.unread("alice", ["bob"]);
  assert.deepEqual(second, { bob: 3 });
  second.bob = 99;
  assert.deepEqual(await client.unread("alice", ["bob"]), { bob: 3 });
  await client.unread("alice", ["carol"]);
  const tags = server.seen.map((asked) => asked.headers["if-none-match"]);
  assert.deepEqual(tags, [undefined, '"v1"', '"v1"', undefined]);
});

test("a list too long for a URL goes by POST", async (t) => {
  const server = await serve(t, (asked, response) => {
    json(response, Object.fromEntries(JSON.parse(asked.body).users.map((user) => [user, 0])));
  });
  const users = Array.from({ length: 300 }, (_, n) => `user-${n}`);
  const map = await createClient({ baseUrl: server.url }).unread("alice", new Set(users));
  assert.equal(Object.keys(map).length, 300);
  const [asked] = server.seen;
  assert.deepEqual([asked.method, asked.url], ["POST", "/v1/unread"]);
  assert.deepEqual(JSON.parse(asked.body), { self: "alice", users });
});

test("an id that means something to JavaScript is an id", async (t) => {
  const server = await serve(t, (_, response) => response.end('{"__proto__":2,"constructor":1}'));
  const map = await createClient({ baseUrl: server.url }).unread("alice", ["__proto__", "constructor"]);
  assert.deepEqual(Object.entries(map), [["__proto__", 2], ["constructor", 1]]);
});

test("a user named twice is asked for once, numbers are ids, and nobody is no request", async (t) => {
  const server = await serve(t, (_, response) => json(response, { 7: 1, bob: 0 }));
  const client = createClient({ baseUrl: server.url });
  assert.deepEqual(await client.unread("alice", [7, "bob", "7", "bob"]), { 7: 1, bob: 0 });
  assert.deepEqual(await client.unread("alice", []), {});
  assert.deepEqual(server.seen.map((asked) => asked.url), ["/v1/unread?self=alice&users=7,bob"]);
});

test("too many users for a request are several, answered together or not at all", async (t) => {
  let broken = false;
  const server = await serve(t, (asked, response, n) => {
    const { users } = JSON.parse(asked.body);
    if (broken && n % 3 === 0) problem(response, 503, { code: "overloaded" });
    else json(response, Object.fromEntries(users.map((user) => [user, 1])));
  });
  const client = createClient({ baseUrl: server.url });
  const users = Array.from({ length: 1_100 }, (_, n) => `user-${n}`);
  assert.equal(Object.keys(await client.unread("alice", users)).length, 1_100);
  assert.deepEqual(server.seen.map((asked) => JSON.parse(asked.body).users.length), [500, 500, 100]);
  const long = Array.from({ length: 500 }, (_, n) => "卖".repeat(120) + n);
  server.seen.length = 0;
  assert.equal(Object.keys(await client.unread("alice", long)).length, 500);
  assert.ok(server.seen.every((asked) => Buffer.byteLength(asked.body) < 65_536));
  broken = true;
  await assert.rejects(client.unread("alice", users), { code: "overloaded" });
});

/** A service that takes one token. */
const takes = (good) => (asked, response) => {
  if (asked.headers.authorization === `Bearer ${good}`) json(response, { bob: 1 });
  else problem(response, 401, { code: "unauthorized" });
};

test("a token that is refused is renewed once for all who used it", async (t) => {
  const server = await serve(t, takes("new"));
  const asked = [];
  let current = "old";
  const token = async ({ refresh }) => {
    asked.push(refresh);
    if (refresh) current = "new";
    return current;
  };
  const client = createClient({ baseUrl: server.url, token });
  const maps = await Promise.all(["bob", "bob,", "bob;"].map((user) => client.unread("alice", [user])));
  assert.deepEqual(maps, [{ bob: 1 }, { bob: 1 }, { bob: 1 }]);
  assert.deepEqual(asked, [false, false, false, true]);
  assert.equal(server.seen.length, 6);
});

test("a function that goes on giving out what was refused costs no request more", async (t) => {
  const server = await serve(t, takes("new"));
  const client = createClient({ baseUrl: server.url, token: ({ refresh }) => (refresh ? "new" : "old") });
  for (let n = 0; n < 3; n++) assert.deepEqual(await client.unread("alice", ["bob"]), { bob: 1 });
  assert.deepEqual(server.seen.map((asked) => asked.headers.authorization), ["old", "new", "new", "new"].map((jwt) => `Bearer ${jwt}`));
});

test("a second 401 is told, and so is one without another token", async (t) => {
  const server = await serve(t, takes("none"));
  let made = 0;
  const other = createClient({ baseUrl: server.url, token: () => `jwt${++made}` });
  assert.equal((await failure(other)).status, 401);
  assert.deepEqual([server.seen.length, made], [2, 2]);
  for (const token of ["jwt", () => "jwt"]) {
    server.seen.length = 0;
    assert.equal((await failure(createClient({ baseUrl: server.url, token }))).status, 401);
    assert.equal(server.seen.length, 1);
  }
});

test("a token function that fails or hangs is an error that passes", async (t) => {
  const server = await serve(t, takes("good"));
  const refused = createClient({ baseUrl: server.url, token: ({ refresh }) => (refresh ? Promise.reject(new Error("no")) : "old") });
  for (let n = 0; n < 2; n++) {
    const { status, code, cause } = await failure(refused);
    assert.deepEqual([status, code, cause.message], [0, "no_token", "no"]);
  }
  const hanging = createClient({ baseUrl: server.url, token: () => new Promise(() => {}), requestTimeout: 20 });
  assert.equal((await failure(hanging)).code, "timeout");
});

const failure = (client) => client.unread("alice", ["bob"]).then(assert.fail, (error) => error);

test("a problem becomes an error with its facts", async (t) => {
  const facts = { code: "invalid", detail: "`users` must name at least one user", field: "users" };
  const server = await serve(t, (_, response) => problem(response, 422, facts));
  const error = await failure(createClient({ baseUrl: server.url }));
  assert.ok(error instanceof OtcImError && error instanceof Error);
  const { status, code, detail, field, retryAfter, message } = error;
  assert.deepEqual({ status, code, detail, field, retryAfter }, { status: 422, ...facts, retryAfter: undefined });
  assert.equal(message, facts.detail);
});

test("Retry-After is read as seconds and as a date", async (t) => {
  const values = ["7", new Date(Date.now() + 90_000).toUTCString(), "soon"];
  const server = await serve(t, (_, response, n) => {
    problem(response, 503, { code: "store_unavailable" }, { "Retry-After": values[n - 1] });
  });
  const client = createClient({ baseUrl: server.url });
  assert.equal((await failure(client)).retryAfter, 7);
  const { retryAfter } = await failure(client);
  assert.ok(retryAfter > 80 && retryAfter <= 90, `${retryAfter}`);
  assert.equal((await failure(client)).retryAfter, undefined);
});

test("an error page of something in between keeps its status", async (t) => {
  const server = await serve(t, (_, response) => response.writeHead(502).end("<h1>Bad Gateway</h1>"));
  const { status, code, message } = await failure(createClient({ baseUrl: server.url }));
  assert.deepEqual([status, code, message], [502, "http_502", "the service answered 502"]);
});

test("what is not a map of counts is an error, not a zero", async (t) => {
  const answers = ["{", "null", "[]", '{"bob":"3"}', '{"bob":-1}', "7"];
  const server = await serve(t, (_, response, n) => response.end(answers[n - 1]));
  const client = createClient({ baseUrl: server.url });
  for (const answer of answers) assert.equal((await failure(client)).code, "bad_answer", answer);
});

test("no answer: refused, too late, or called off", async (t) => {
  const server = await serve(t, () => {});
  const nobody = createClient({ baseUrl: "http://127.0.0.1:1" });
  assert.deepEqual([(await failure(nobody)).status, (await failure(nobody)).code], [0, "network"]);
  const impatient = createClient({ baseUrl: server.url, requestTimeout: 20 });
  assert.equal((await failure(impatient)).code, "timeout");
  const stop = new AbortController();
  const called = createClient({ baseUrl: server.url }).unread("alice", ["bob"], { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(called, /enough/);
});

test("a chat is marked as read by one request, which answers what is left", async (t) => {
  const asked = [];
  const server = await serve(t, (request, response, n) => {
    asked.push([request.method, request.url, request.body]);
    json(response, n > 2 ? { bob: 3 } : { unread: n - 1 });
  });
  const client = createClient({ baseUrl: server.url, token: "jwt" });
  assert.equal(await client.read("a b", "bob"), 0);
  assert.equal(await client.read("a b", "bob", { upTo: 1_700_000_000_000 }), 1);
  const bodies = ['{"self":"a b","peer":"bob"}', '{"self":"a b","peer":"bob","upTo":1700000000000}'];
  assert.deepEqual(asked, bodies.map((body) => ["POST", "/v1/read", body]));
  await assert.rejects(client.read("a b", "bob"), { code: "bad_answer" });
  await assert.rejects(client.read("a b", "\ud800"), { code: "bad_user" });
  const given = AbortSignal.abort(new Error("enough"));
  await assert.rejects(client.read("a b", "bob", { signal: given }), { message: "enough" });
  assert.equal(server.seen.length, 3);
});

test("a total is one conditional request, and must be one", async (t) => {
  const server = await serve(t, (asked, response, n) => {
    if (n > 2) json(response, { bob: 3 });
    else if (asked.headers["if-none-match"] === '"v1"') response.writeHead(304, { ETag: '"v1"' }).end();
    else json(response, { messages: 12, users: 3 }, { ETag: '"v1"' });
  });
  const client = createClient({ baseUrl: server.url, token: "jwt" });
  assert.deepEqual(await client.total("a b"), { messages: 12, users: 3 });
  assert.deepEqual(await client.total("a b"), { messages: 12, users: 3 });
  assert.equal(server.seen[0].url, "/v1/unread/total?self=a%20b");
  assert.equal(server.seen[0].headers.authorization, "Bearer jwt");
  await assert.rejects(client.total("a b"), { code: "bad_answer" });
  await assert.rejects(client.total("\ud800"), { code: "bad_user" });
  const given = AbortSignal.abort(new Error("enough"));
  await assert.rejects(client.total("a b", { signal: given }), { message: "enough" });
});
