// Unread counts of otc-im for browsers and Node: `unread()` asks once, `watch()` keeps a map up to date.

/** Times are in milliseconds. */
const DEFAULTS = {
  pollInterval: 5_000,
  silence: 45_000, // nothing at all on a stream for this long: it is broken
  firstEvent: 10_000, // a stream that brings no map by then is not one (a proxy may be holding it back)
  backoff: 500,
  maxBackoff: 30_000,
  maxFailures: 3, // streams that fail in a row before polling takes over
  streamRetry: 60_000, // polling this long, then the stream is tried again; doubles up to eight times as long
};

/** Asking again would not help. */
const FINAL = new Set([401, 403, 422]);
/** There is no stream here, or not at this address; polling may well work. */
const NO_STREAM = new Set([400, 404, 405, 406, 410, 414, 431, 501]);
const LONGEST_GET = 2_000;
const LONGEST_STREAM_URL = 8_000; // what proxies let through
const LONGEST_LINE = 1_048_576;
const MOST_REMEMBERED = 32;
const LONGEST_WAIT = 3_600_000;

/** Whatever goes wrong: an answer of the service, or `status` 0 when there was none. */
export class OtcImError extends Error {
  constructor(message, { status = 0, code, detail, field, retryAfter, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "OtcImError";
    Object.assign(this, { status, code, detail, field, retryAfter });
  }
}

export function createClient({ baseUrl = "", token, fetch: ownFetch, requestTimeout = 10_000 } = {}) {
  const base = String(baseUrl).replace(/\/+$/, "");
  const remembered = new Map(); // URL → { etag, counts }, the one used last at the end

  async function send(path, { headers, ...init }) {
    const request = { ...init, headers: { ...headers } };
    const bearer = typeof token === "function" ? await token() : token;
    if (bearer) request.headers.Authorization = `Bearer ${bearer}`;
    const response = await (ownFetch ?? globalThis.fetch)(base + path, request);
    if (response.ok || response.status === 304) return response;
    throw await problemOf(response);
  }

  async function get(path, signal) {
    const known = remembered.get(path);
    const headers = { Accept: "application/json", ...(known && { "If-None-Match": known.etag }) };
    const response = await send(path, { headers, signal });
    if (response.status === 304 && known) return remember(path, known);
    const answer = countsOf(await response.text());
    const etag = response.headers.get("ETag");
    if (etag) remember(path, { etag, counts: answer });
    return { ...answer };
  }

  function remember(path, entry) {
    remembered.delete(path);
    remembered.set(path, entry);
    if (remembered.size > MOST_REMEMBERED) remembered.delete(remembered.keys().next().value);
    return { ...entry.counts };
  }

  async function post(self, users, signal) {
    const headers = { Accept: "application/json", "Content-Type": "application/json" };
    const body = JSON.stringify({ self, users });
    return countsOf(await (await send("/v1/unread", { method: "POST", headers, body, signal })).text());
  }

  async function unread(self, users, { signal } = {}) {
    const list = [...users];
    const path = `/v1/unread?${query(self, list)}`;
    const short = base.length + path.length <= LONGEST_GET;
    return bounded(requestTimeout, signal, (bound) => (short ? get(path, bound) : post(self, list, bound)));
  }

  function watch(self, users, onChange, options) {
    const list = [...users];
    const path = `/v1/unread/stream?${query(self, list)}`;
    const open = base.length + path.length <= LONGEST_STREAM_URL && ((init) => send(path, init));
    return startWatch({ open, poll: (signal) => unread(self, list, { signal }) }, onChange, options);
  }

  return { unread, watch };
}

function startWatch({ open, poll }, onChange, { signal, onError, onState, ...given } = {}) {
  const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const set = { ...DEFAULTS, ...chosen };
  const stop = new AbortController();
  let map; // none until the first answer
  let state;
  let lastEventId;

  const close = () => {
    stop.abort();
    signal?.removeEventListener("abort", close);
  };
  const show = (counts) => {
    const isNew = ([user, count]) => !map || !Object.hasOwn(map, user) || map[user] !== count;
    const changed = Object.fromEntries(Object.entries(counts).filter(isNew));
    if (stop.signal.aborted || (map && Object.keys(changed).length === 0)) return;
    map = { ...map, ...counts };
    tell(onChange, { ...map }, changed);
  };
  const enter = (next, error) => {
    if (stop.signal.aborted || state === next) return;
    state = next;
    tell(onState, next, error);
  };
  const end = (error) => {
    enter("offline", error);
    if (!stop.signal.aborted) tell(onError, error);
    close();
  };
  const pause = (failures, error) => {
    const grown = Math.min(set.maxBackoff, set.backoff * 2 ** Math.min(failures, 20));
    const least = (error?.retryAfter ?? 0) * 1_000;
    return sleep(Math.max(grown * (0.5 + Math.random() / 2), least), stop.signal);
  };

  /** One connection, until the server ends it (returns) or it breaks (throws). */
  async function stream(onMap) {
    const link = new AbortController();
    const hangUp = () => link.abort();
    stop.signal.addEventListener("abort", hangUp);
    let broken;
    let timer;
    let started = false;
    const expect = (within, detail) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        broken = new OtcImError(detail, { code: started ? "silent" : "no_stream", detail });
        link.abort();
      }, within);
    };
    const feed = eventReader((event) => {
      if (event.id !== undefined) lastEventId = event.id;
      if (event.data === undefined || (event.type !== "" && event.type !== "unread")) return;
      const counts = countsOf(event.data);
      started = true;
      onMap();
      enter("streaming");
      show(counts);
    });
    try {
      expect(set.firstEvent, "the stream brought no map in time");
      const headers = { Accept: "text/event-stream", ...(lastEventId && { "Last-Event-ID": lastEventId }) };
      const response = await open({ headers, cache: "no-store", signal: link.signal });
      if (!/^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "")) {
        const detail = "the answer is not an event stream";
        throw new OtcImError(detail, { code: "no_stream", detail });
      }
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || stop.signal.aborted) return;
        feed(value);
        if (started) expect(set.silence, "the stream has gone silent");
      }
    } catch (error) {
      throw broken ?? asError(error);
    } finally {
      clearTimeout(timer);
      stop.signal.removeEventListener("abort", hangUp);
      link.abort();
    }
  }

  /** Polls for `time`, or until the service is back after it was away. */
  async function pollFor(time, { untilBack }) {
    const until = Date.now() + time;
    for (let failures = 0; !stop.signal.aborted; ) {
      try {
        show(await poll(stop.signal));
        enter("polling");
        if (Date.now() >= until || (untilBack && failures > 0)) return;
        failures = 0;
        await sleep(set.pollInterval * (0.9 + Math.random() / 5), stop.signal);
      } catch (caught) {
        const error = asError(caught);
        if (FINAL.has(error.status)) return end(error);
        enter("offline", error);
        await pause(failures++, error);
      }
    }
  }

  async function run() {
    let failures = 0;
    let rounds = 0; // of polling since the last stream that was worth having
    while (!stop.signal.aborted) {
      const began = Date.now();
      let worked = false;
      let error;
      try {
        if (!open) throw new OtcImError("the address is too long for a stream", { status: 414 });
        await stream(() => (worked = true));
      } catch (caught) {
        error = caught;
      }
      if (stop.signal.aborted) return;
      if (FINAL.has(error?.status)) return end(error);
      // A stream that is cut sooner than a poll would come round is no better than polling.
      const lasted = worked && Date.now() - began >= set.pollInterval;
      failures = lasted ? 0 : failures + 1;
      if (lasted) rounds = 0;
      // Whoever has as many streams as one may have is refused no poll, and need not wait for one.
      const full = error?.code === "too_many_streams";
      const none = !worked && (full || NO_STREAM.has(error?.status) || error?.code === "no_stream");
      if (none || failures >= set.maxFailures) {
        if (error?.retryAfter && !full) await pause(0, error);
        await pollFor(set.streamRetry * 2 ** Math.min(rounds++, 3), { untilBack: !none });
      } else {
        if (error) enter("offline", error);
        await pause(Math.max(failures - 1, 0), error);
      }
    }
  }

  if (signal?.aborted) close();
  else signal?.addEventListener("abort", close);
  run();
  return { close };
}

/** Takes the bytes of an event stream as they come, and calls back with each event: { type, data, id }. */
function eventReader(onEvent) {
  const decoder = new TextDecoder();
  let rest = "";
  let afterCr = false;
  let event = { type: "", data: undefined, id: undefined };

  const take = (line) => {
    if (line === "") {
      const done = event;
      event = { type: "", data: undefined, id: undefined };
      if (done.data !== undefined || done.id !== undefined) onEvent(done);
      return;
    }
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    else if (name === "event") event.type = value === "message" ? "" : value;
    else if (name === "id" && !value.includes("\0")) event.id = value;
  };

  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true });
    if (text === "") return;
    if (afterCr && text[0] === "\n") text = text.slice(1); // the other half of a CRLF
    afterCr = text.endsWith("\r");
    const lines = (rest + text).split(/\r\n|\r|\n/);
    rest = lines.pop();
    if (rest.length > LONGEST_LINE) throw badAnswer("a line of the stream is too long");
    lines.forEach(take);
  };
}

/** Commas part the ids of one `users`, encoded or not. Where an id has one, `users` is repeated, which makes each value
 * one id; a single id is named twice then, and answered once. */
function query(self, users) {
  const ids = users.map((user) => encodeURIComponent(user));
  const repeated = users.some((user) => String(user).includes(","));
  const named = repeated ? [...ids, ids[0]].map((id) => `users=${id}`).join("&") : `users=${ids.join(",")}`;
  return `self=${encodeURIComponent(self)}&${named}`;
}

function countsOf(text) {
  let counts;
  try {
    counts = JSON.parse(text);
  } catch {
    throw badAnswer("the answer is not JSON");
  }
  const isMap = counts !== null && typeof counts === "object" && !Array.isArray(counts);
  if (!isMap || !Object.values(counts).every((count) => Number.isInteger(count) && count >= 0)) {
    throw badAnswer("the answer is not a map of counts");
  }
  return counts;
}

const badAnswer = (detail) => new OtcImError(detail, { code: "bad_answer", detail });

async function problemOf(response) {
  const { status } = response;
  const text = await response.text().catch(() => "");
  let problem;
  try {
    problem = JSON.parse(text);
  } catch {
    // a proxy's own error page
  }
  const { code, detail, field, title } = problem ?? {};
  return new OtcImError(detail ?? title ?? `the service answered ${status}`, {
    status,
    code: code ?? `http_${status}`,
    detail,
    field,
    retryAfter: secondsOf(response.headers.get("Retry-After")),
  });
}

/** `Retry-After` as seconds from now, whether it was written so or as a date. */
function secondsOf(value) {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1_000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function asError(error) {
  if (error instanceof OtcImError) return error;
  const detail = "there was no answer";
  return new OtcImError(`${detail}: ${error?.message ?? error}`, { code: "network", detail, cause: error });
}

/** Runs `work` with a signal that ends it after `limit`, or with the caller's own. */
async function bounded(limit, signal, work) {
  signal?.throwIfAborted();
  const bound = new AbortController();
  const abort = () => bound.abort();
  signal?.addEventListener("abort", abort);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    bound.abort();
  }, limit);
  try {
    return await work(bound.signal);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (!late) throw asError(error);
    const detail = "the service did not answer in time";
    throw new OtcImError(detail, { code: "timeout", detail, cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function sleep(time, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, Math.min(time, LONGEST_WAIT));
    signal.addEventListener("abort", wake);
  });
}

/** Calls back; what a callback throws goes where an event listener's errors go, and the watch carries on. */
function tell(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
