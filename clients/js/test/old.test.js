// Where much is missing: React Native, and browsers and web views of some years ago.

import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";

import { event, json, problem, QUICK, serve, serveBoth, startStream, STREAM } from "./support.js";

// Node's own parts may need these: what they give is taken before they go.
const { ReadableStream, TextDecoder } = globalThis;
for (const name of ["EventSource", "BroadcastChannel", "navigator", "document", "structuredClone", "queueMicrotask", "Response"]) {
  delete globalThis[name];
}
for (const name of ["any", "timeout", "abort"]) delete AbortSignal[name];
delete AbortSignal.prototype.throwIfAborted;
Object.defineProperty(AbortSignal.prototype, "reason", { get: () => undefined });
delete Object.hasOwn;
delete Object.groupBy;
delete Promise.any;
delete Promise.withResolvers;
for (const name of ["at", "findLast", "toSorted", "toReversed", "with"]) delete Array.prototype[name];
for (const name of ["at", "replaceAll", "isWellFormed", "toWellFormed"]) delete String.prototype[name];

const { createClient } = await import("../index.js");

/** A `fetch` upon XMLHttpRequest: no body, an answer only when it is complete, and no heed of the signal. */
function gathering(url, { method = "GET", headers, body }) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, async (response) => {
      let text = "";
      try {
        for await (const chunk of response) text += chunk;
      } catch (error) {
        return reject(error);
      }
      const { statusCode: status } = response;
      const fields = { get: (name) => response.headers[name.toLowerCase()] ?? null };
      resolve({ status, ok: status >= 200 && status < 300, headers: fields, text: async () => text });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** The same, with a body that comes as it is sent. */
const streaming = (url, { headers, signal }) =>
  new Promise((resolve, reject) => {
    const asked = request(url, { headers }, (response) => {
      const body = new ReadableStream({
        start(controller) {
          response.on("data", (chunk) => controller.enqueue(new Uint8Array(chunk)));
          response.on("end", () => controller.close());
          response.on("error", (error) => controller.error(error));
        },
      });
      const fields = { get: (name) => response.headers[name.toLowerCase()] ?? null };
      const text = async () => {
        let all = "";
        for await (const chunk of body) all += new TextDecoder().decode(chunk);
        return all;
      };
      resolve({ status: response.statusCode, ok: response.statusCode === 200, headers: fields, body, text });
    });
    signal.addEventListener("abort", () => asked.destroy(new Error("aborted")));
    asked.on("error", reject);
    asked.end();
  });

function watching(t, client, options) {
  const log = { maps: [], states: [] };
  let wake = () => {};
  const noting = (list) => (value) => {
    list.push(value);
    wake();
  };
  const handle = client.watch("alice", ["bob"], noting(log.maps), { ...QUICK, onState: noting(log.states), ...options });
  t.after(() => handle.close());
  log.until = async (condition) => {
    while (!condition()) await new Promise((resolve) => (wake = resolve));
  };
  return log;
}

test("a global fetch without bodies polls from the start, and never opens a stream", async (t) => {
  let count = 0;
  const server = await serve(t, (_, response) => json(response, { bob: ++count }));
  globalThis.fetch = gathering;
  t.after(() => delete globalThis.fetch);
  const log = watching(t, createClient({ baseUrl: server.url }));
  await log.until(() => log.maps.length > 2);
  assert.deepEqual(log.states, ["polling"]);
  assert.ok(server.seen.every(({ path }) => path !== STREAM));
});

test("a fetch of one's own without bodies polls beside the stream that never comes", async (t) => {
  let count = 0;
  const server = await serveBoth(t, (_, response) => json(response, { bob: ++count }), (_, response) => {
    startStream(response, event({ bob: 0 }));
  });
  const log = watching(t, createClient({ baseUrl: server.url, fetch: gathering }), { firstEvent: 100 });
  await log.until(() => log.states.length > 0);
  assert.deepEqual(log.states, ["polling"]);
  assert.ok(log.maps.length > 1 && log.maps.every(({ bob }) => bob > 0));
});

test("where bodies can be read it streams, and comes back after a break", async (t) => {
  const server = await serveBoth(t, { bob: 0 }, (_, response, n) => {
    startStream(response, event({ bob: 2 * n - 1 }), event({ bob: 2 * n }));
    if (n === 1) setTimeout(() => response.destroy(), 20);
  });
  const log = watching(t, createClient({ baseUrl: server.url, fetch: streaming }));
  await log.until(() => log.maps.some(({ bob }) => bob === 4));
  assert.equal(log.states[0], "streaming");
});

test("a signal without a reason ends a call, and errors have their facts", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (!asked.url.includes("slow")) problem(response, 503, { code: "overloaded" }, { "Retry-After": "3" });
  });
  const client = createClient({ baseUrl: server.url, fetch: gathering });
  await assert.rejects(client.unread("alice", ["bob"]), { status: 503, code: "overloaded", retryAfter: 3 });
  const stop = new AbortController();
  const slow = client.unread("slow", ["bob"], { signal: stop.signal });
  stop.abort();
  await assert.rejects(slow, { name: "AbortError" });
  await assert.rejects(client.unread("slow", ["bob"], { signal: stop.signal }), { name: "AbortError" });
});
