// A small HTTP server that answers as a test tells it, and waiting for what a callback brings.

import { createServer } from "node:http";
import { once } from "node:events";

/** Answers each request by `answer(request, response, n)`; n counts those of the same path from 1. */
export async function serve(t, answer) {
  const seen = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const path = request.url.split("?")[0];
    const entry = { path, url: request.url, method: request.method, headers: request.headers, body };
    entry.at = performance.now();
    seen.push(entry);
    response.on("close", () => (entry.closed = true));
    answer(entry, response, seen.filter((other) => other.path === path).length);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, seen };
}

export const STREAM = "/v1/unread/stream";
export const POLL = "/v1/unread";
export const TOTAL = "/v1/unread/total";

export function json(response, value, headers = {}) {
  response.writeHead(200, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

export function problem(response, status, facts = {}, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ title: "A title", status, ...facts }));
}

export function startStream(response, ...chunks) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  for (const chunk of chunks) response.write(chunk);
}

export const event = (map, id) => `${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(map)}\n\n`;

export const totalEvent = (messages, users) => `event: total\nid: t\ndata: ${JSON.stringify({ messages, users })}\n\n`;

/** As `serve`, with polls answered by a map or a function, and streams by `stream(request, response, n)`. */
export const serveBoth = (t, poll, stream) =>
  serve(t, (asked, response, n) => {
    if (asked.path === STREAM) stream(asked, response, n);
    else if (typeof poll === "function") poll(asked, response, n);
    else json(response, poll);
  });

/** Times short enough for tests; the long ones are out of the way. */
export const QUICK = {
  pollInterval: 5,
  backoff: 2,
  maxBackoff: 20,
  silence: 60_000,
  firstEvent: 60_000,
  streamRetry: 60_000,
};

/** Watches with everything recorded; `until` waits for the record to satisfy a condition. */
export function recorded(t, client, users, options = {}, self = "alice") {
  const log = { maps: [], changes: [], totals: [], states: [], errors: [] };
  let wake = () => {};
  const note = (list) => (...values) => {
    list.push(values.length === 1 ? values[0] : values);
    wake();
  };
  const onChange = (map, changed) => {
    log.changes.push(changed);
    note(log.maps)(map);
  };
  const onState = (state) => note(log.states)(state);
  const handle = client.watch(self, users, onChange, {
    ...QUICK,
    onError: note(log.errors),
    onState,
    ...options,
    ...(options.onTotal && { onTotal: note(log.totals) }),
  });
  t.after(() => handle.close());
  log.close = handle.close;
  log.until = async (condition) => {
    while (!condition(log)) await new Promise((resolve) => (wake = resolve));
  };
  return log;
}

/** A real pause, for the few things that can only be shown by nothing happening. */
export const quiet = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** A `fetch` that answers polls with a map, and streams with exactly these chunks of bytes. */
export function fetchOf(map, chunks) {
  return async (url, { signal }) => {
    if (!url.includes(STREAM)) return new Response(JSON.stringify(map));
    const body = new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk);
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  };
}
