// Unread counts of otc-im for browsers, React Native and Node: `unread()` and `total()` ask once, `watch()` keeps a map
// up to date, and the total; `read()` marks a chat as read.
// Written for the browsers of 2021: what is newer than ES2020, or not everywhere, is looked for before it is used.

/** Times are in milliseconds. */
const DEFAULTS = {
  pollInterval: 5000,
  silence: 45000, // nothing at all on a stream for this long: it is broken
  firstEvent: 10000, // a stream that brings no map by then is not one (a proxy may be holding it back)
  backoff: 2000,
  maxBackoff: 30000,
  streamRetry: 60000, // until a stream is tried again where there was none; doubles up to eight times as long
  share: true,
};

/** Asking again would not help. */
const FINAL = new Set([401, 403, 422]);
/** There is no stream here, or not at this address; polling may well work. */
const NO_STREAM = new Set([400, 404, 405, 406, 410, 414, 431, 501]);
const MOST_USERS = 500; // of one request
const MOST_STREAMS = 3; // of one page, so that HTTP/1.1 has connections left: a browser makes six to a host
const LONGEST_GET = 2000;
const LONGEST_STREAM_URL = 8000; // what proxies let through
const LONGEST_BODY = 30000; // of ids once percent-encoded; as JSON they are less than twice that, and 64 KiB may come
const LONGEST_LINE = 1048576;
const ASK_TOTAL = "&total=1";
// The total goes among the counts, under names that no user can have: two more numbers, which travel as all others do.
const MESSAGES = "\0messages";
const USERS = "\0users";
const TOTAL = [MESSAGES, USERS];
const MOST_REMEMBERED = 32;
const LONGEST_WAIT = 3600000;
// Between pages that share a stream:
const GATHER = 50; // for the others to say whom they watch, before the stream is opened
const GATHER_MORE = 1000; // for more pages to come, before it is opened anew
const SAY_AGAIN = 60000; // a page says now and then that it is still there …
const FORGET = 180000; // … and is forgotten if it does not
const BEAT = 5000; // the least time between signs of life

/** Whatever goes wrong: an answer of the service, or `status` 0 when there was none. */
export class OtcImError extends Error {
  constructor(message, /** @type {Record<string, any>} */ { status = 0, code, detail, field, retryAfter, cause } = {}) {
    super(message);
    this.name = "OtcImError";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.field = field;
    this.retryAfter = retryAfter;
    if (cause !== undefined) this.cause = cause;
  }
}

export function createClient(/** @type {Record<string, any>} */ options = {}) {
  const { baseUrl, token, fetch: ownFetch, requestTimeout = 10000 } = options;
  const base = String(baseUrl ?? "").replace(/\/+$/, "");
  if (!ownFetch && !canReach(base)) {
    const detail = "where there is no page, `baseUrl` has to be an absolute http or https URL without credentials";
    throw failure("bad_base_url", detail);
  }
  const remembered = new Map(); // URL → { etag, counts }, the one used last at the end
  let renewal; // { of, fresh }: the token that was refused last, and the promise of another

  async function request(path, init, bearer) {
    const headers = { ...init.headers, ...(bearer ? { Authorization: `Bearer ${bearer}` } : {}) };
    const call = ownFetch ?? globalThis.fetch;
    if (typeof call !== "function") throw new TypeError("there is no `fetch` here; createClient takes one");
    const response = await received(() => call(base + path, { ...init, headers }));
    if (response.ok || response.status === 304) return response;
    throw await problemOf(response);
  }

  async function ask(refresh) {
    try {
      return await token({ refresh });
    } catch (cause) {
      throw failure("no_token", "the token function failed", cause);
    }
  }

  /** Another token in place of one that was refused: asked for once, however many requests were refused with it. */
  function renewed(refused) {
    if (renewal?.of === refused) return renewal.fresh;
    const mine = { of: refused, fresh: ask(true) };
    renewal = mine;
    const forget = () => (renewal = renewal === mine ? undefined : renewal);
    mine.fresh.then((fresh) => fresh === refused && forget(), forget);
    return mine.fresh;
  }

  async function send(path, init) {
    if (typeof token !== "function") return request(path, init, token);
    let bearer = await ask(false);
    if (renewal && renewal.of === bearer) bearer = await renewal.fresh;
    try {
      return await request(path, init, bearer);
    } catch (error) {
      if (error.status !== 401) throw error;
      const fresh = await renewed(bearer);
      if (fresh === bearer) throw error;
      return request(path, init, fresh);
    }
  }

  async function get(path, signal) {
    const known = remembered.get(path);
    const headers = { Accept: "application/json", ...(known && { "If-None-Match": known.etag }) };
    const response = await send(path, { headers, signal });
    if (response.status === 304 && known) return remember(path, known);
    const answer = countsOf(await received(() => response.text()));
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

  async function post(path, question, signal) {
    const headers = { Accept: "application/json", "Content-Type": "application/json" };
    const body = JSON.stringify(question);
    const response = await send(path, { method: "POST", headers, body, signal });
    return countsOf(await received(() => response.text()));
  }

  async function counts(self, users, signal) {
    const path = `/v1/unread?${query(self, users)}`;
    if (users.length <= MOST_USERS && base.length + path.length <= LONGEST_GET) return get(path, signal);
    const parts = split(users, LONGEST_BODY).map((part) => post("/v1/unread", { self, users: part }, signal));
    return (await Promise.all(parts)).reduce((all, part) => ({ ...all, ...part }), {});
  }

  async function unread(self, users, /** @type {Record<string, any>} */ { signal } = {}) {
    const list = distinct(users);
    return bounded(requestTimeout, signal, (bound) => (list.length === 0 ? {} : counts(`${self}`, list, bound)));
  }

  async function total(self, /** @type {Record<string, any>} */ { signal } = {}) {
    const path = `/v1/unread/total?self=${encoded(`${self}`)}`;
    return bounded(requestTimeout, signal, async (bound) => totalOf(await get(path, bound)));
  }

  async function read(self, peer, /** @type {Record<string, any>} */ { upTo, signal } = {}) {
    [self, peer].forEach((id) => encoded(`${id}`));
    const question = { self: `${self}`, peer: `${peer}`, upTo };
    return bounded(requestTimeout, signal, async (bound) => leftOf(await post("/v1/read", question, bound)));
  }

  function watch(self, users, onChange, options) {
    const people = distinct(users);
    const list = options?.onTotal ? [...people, ...TOTAL] : people;
    const start = "/v1/unread/stream?";
    const readable = ownFetch || (typeof Response === "function" && "body" in Response.prototype);
    const source = {
      name: sharedName(base, self),
      list,
      async poll(signal) {
        const all = options?.onTotal ? total(self, { signal }).then(asCounts) : {};
        return Object.assign({}, ...(await Promise.all([unread(self, people, { signal }), all])));
      },
      parts: (all) => partsOf(all, LONGEST_STREAM_URL - (base + start + query(self, []) + ASK_TOTAL).length),
      open: (part, init) => send(start + streamQuery(self, part), init),
      canStream: Boolean(readable) && typeof TextDecoder === "function",
    };
    const watches = [];
    if (people.length === 0) watches.push(watchNobody(onChange, options));
    if (list.length > 0) watches.push(startWatch(source, onChange, options));
    return { close: () => watches.forEach((watch) => watch.close()) };
  }

  return { unread, total, read, watch };
}

function watchNobody(onChange, /** @type {Record<string, any>} */ { signal } = {}) {
  let closed = false;
  Promise.resolve().then(() => closed || signal?.aborted || tell(onChange, {}, {}));
  return { close: () => (closed = true) };
}

/** What the page is told of, and for how long; `keepTrue` does the work, anew each time the page comes back. */
function startWatch(source, onChange, /** @type {Record<string, any>} */ options = {}) {
  const { signal, onError, onState, onTotal, ...given } = options;
  const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const known = new Map(); // empty until the first answer
  let state;
  let work; // { stop, wake, renew, hide } while the page is there

  const report = {
    show(counts) {
      const isNew = (user) => has(counts, user) && known.get(user) !== counts[user];
      const changed = source.list.filter(isNew).map((user) => [user, counts[user]]);
      if (changed.length === 0) return;
      changed.forEach(([user, count]) => known.set(user, count));
      const news = changed.filter(isPerson);
      if (news.length > 0) tell(onChange, Object.fromEntries([...known].filter(isPerson)), Object.fromEntries(news));
      if (news.length === changed.length || !work) return;
      tell(onTotal, { messages: known.get(MESSAGES), users: known.get(USERS) });
    },
    enter(next, error) {
      if (state === next) return;
      state = next;
      tell(onState, next, error);
    },
    end(error) {
      report.enter("offline", error);
      if (work) tell(onError ?? (error instanceof OtcImError ? undefined : raise), error);
      close();
    },
  };
  const begin = () => (work = work ?? keepTrue(source, { ...DEFAULTS, ...chosen }, report));
  const halt = () => {
    const halted = work;
    work = undefined;
    halted?.stop();
  };
  const forgets = [
    // A page in the back/forward cache may hold neither connection nor lock.
    listen(globalThis, { pagehide: halt, pageshow: begin, online: () => work?.renew(), offline: () => work?.renew() }),
    listen(page(), { visibilitychange: () => (isHidden() ? work?.hide() : work?.wake()) }),
  ];
  const close = () => {
    halt();
    forgets.forEach((forget) => forget());
    signal?.removeEventListener("abort", close);
  };
  if (signal?.aborted) close();
  else {
    signal?.addEventListener("abort", close);
    begin();
  }
  return { close };
}

/** Two loops: one holds a stream where there can be one, the other polls while no stream is live. */
function keepTrue({ name, list, poll, parts, open, canStream }, set, { show, enter, end }) {
  const stop = new AbortController();
  const over = stop.signal;
  const change = bell(); // of `live`, `reachable`, or whether the page is hidden
  const polling = pacer(over);
  const streaming = pacer(over);
  let live = false; // by the stream of this page or of another one
  let reachable = false; // as the last poll has it
  let hopeUntil = Date.now() + set.firstEvent; // till then a stream is soon there, and "polling" would be a flicker
  let stream; // that of this page
  let pages; // which share a stream

  const pause = (pacer, failures, error) => {
    const grown = Math.min(set.maxBackoff, set.backoff * 2 ** Math.min(failures, 20)) * (0.1 + 0.9 * Math.random());
    const least = (error?.retryAfter ?? 0) * 1000 * (1 + Math.random() / 2);
    return pacer.rest(Math.max(grown, least), least);
  };
  const mayStream = () => canStream && Boolean(pages || !isHidden());
  const setLive = (now) => {
    if (over.aborted || live === now) return;
    live = now;
    if (live) {
      enter("streaming");
      polling.cut();
    }
    change.ring();
  };
  const judge = () => {
    if (!live && reachable && !(mayStream() && Date.now() < hopeUntil)) enter("polling");
  };

  function join() {
    if (!canStream || !set.share || !name || pages) return;
    const onCounts = (counts, whole) => {
      show(counts);
      setLive(whole);
    };
    try {
      pages = joinPages(name, list, set, over, { onCounts, onLost: () => setLive(false) });
    } catch {
      name = undefined; // a page that may not, such as one in a sandbox
    }
  }

  async function keepPolling() {
    for (let failures = 0; !over.aborted; ) {
      if (live) {
        await change.wait();
        if (!live) await pause(polling, 0);
        continue;
      }
      try {
        const counts = await poll(over);
        if (over.aborted) return;
        if (live) continue; // what came by the stream meanwhile is newer
        show(counts);
        failures = 0;
        if (!reachable) {
          reachable = true;
          join(); // only here: the service itself has said that this page may see these counts
          streaming.cut();
          change.ring();
        }
        judge();
        await polling.rest(set.pollInterval * (0.9 + Math.random() / 5));
      } catch (error) {
        if (over.aborted) return;
        if (isFinal(error)) return end(error);
        if (!live) {
          reachable = false;
          enter("offline", error);
        }
        await pause(polling, failures++, error);
      }
    }
  }

  /** Streams for all pages that share it, until the server ends it, it breaks, or it is hung up. */
  async function hold() {
    let since; // the first event
    let error;
    let more;
    let hungUp = false;
    try {
      if (parts(list).length > MOST_STREAMS) {
        throw new OtcImError("the users are too many for a stream", { status: 414, code: "no_stream" });
      }
      do {
        more = false;
        const chosen = parts(pages ? pages.everybody() : list).slice(0, MOST_STREAMS);
        pages?.opened(chosen.flat(), () => {
          const covered = new Set(chosen.flat());
          const wanted = parts(pages.everybody()).slice(0, MOST_STREAMS).flat();
          more = wanted.some((user) => !covered.has(user));
          if (more) stream?.hangUp();
        });
        stream = openStream(chosen, open, set, (counts, whole) => {
          since = since ?? Date.now();
          show(counts);
          if (whole) setLive(true);
          pages?.tell(counts, whole);
        });
        if (over.aborted) stream.hangUp();
        hungUp = await stream.done;
        setLive(false);
      } while (more && !over.aborted);
    } catch (caught) {
      error = caught;
    }
    stream = undefined;
    setLive(false);
    pages?.down(hungUp, error?.retryAfter);
    return { since, error, hungUp };
  }

  async function turn() {
    if (!pages) return hold();
    try {
      // Whose stream has just ended for all takes its time, as everybody else does.
      return await pages.turn(hold, () => stream?.hangUp(), (after) => pause(streaming, 0, after));
    } catch {
      pages?.leave();
      pages = name = undefined;
      return { hungUp: true };
    }
  }

  async function keepStreaming() {
    let failures = 0;
    let rounds = 0; // of no stream at all
    while (!over.aborted) {
      if (!reachable || !mayStream()) {
        await change.wait();
        continue;
      }
      const { since, error, hungUp } = await turn();
      if (over.aborted) return;
      if (isFinal(error)) return end(error);
      // A stream that is cut sooner than a poll would come round is no better than polling.
      const lasted = hungUp || (since && Date.now() - since >= set.pollInterval);
      failures = lasted ? 0 : failures + 1;
      hopeUntil = lasted ? Date.now() + set.firstEvent : 0;
      if (since) rounds = 0;
      if (hungUp) continue;
      // Whoever has as many streams as one may have is refused no poll, and need not wait for one.
      const full = error?.code === "too_many_streams";
      if (!since && (full || NO_STREAM.has(error?.status) || error?.code === "no_stream")) {
        judge();
        const least = Math.max(set.streamRetry * 2 ** Math.min(rounds++, 3), full ? 0 : (error.retryAfter ?? 0) * 1000);
        const time = least * (1 + Math.random() / 4);
        await streaming.rest(time, time);
      } else {
        await pause(streaming, Math.max(failures - 1, 0), error);
      }
    }
  }

  const wake = (lost) => {
    if (lost) stream?.hangUp();
    pages?.wake(lost);
    if (!live || lost) polling.skip();
    change.ring();
  };
  const broken = (error) => over.aborted || end(error);
  keepPolling().catch(broken);
  keepStreaming().catch(broken);
  return {
    /** The page is looked at again. */
    wake: () => wake(Boolean(stream) && stream.age() > set.silence / 2),
    /** The network is another one. */
    renew() {
      hopeUntil = Date.now() + set.firstEvent;
      streaming.cut();
      wake(true);
    },
    /** Nobody looks: where no other page has use for the stream, polls will do. */
    hide() {
      if (!pages) stream?.hangUp();
    },
    stop() {
      stop.abort();
      stream?.hangUp();
      pages?.leave();
      change.ring();
    },
  };
}

/** Pages of one origin that watch for one reader. The one that has the lock holds the stream and tells the others. */
function joinPages(name, list, set, over, { onCounts, onLost }) {
  const channel = new BroadcastChannel(name);
  const id = Math.random().toString(36).slice(2);
  const others = new Map(); // id → { users, at }, as they say when the lock is here
  let all = new Map(); // what the stream has brought
  let covered = new Set(); // whom it is about
  let up = false; // it has brought everybody
  let openMore;
  let hangUp = () => {};
  let gathering; // a timer
  let leading = false;
  let following = false; // the page that has the lock keeps everybody up to date who is watched here
  let told = 0;
  let heard = 0;
  let said = 0;
  let asked = 0; // when an answer was asked for that has not come
  let brokenAt = 0; // when the stream of another page broke, and how long to wait then, in seconds
  let retryAfter = 0;
  let queue; // an AbortController while waiting for the lock
  let force = false;

  const say = (message) => over.aborted || channel.postMessage(message);
  const hello = () => {
    said = asked = Date.now();
    say({ id, want: list });
  };
  const lose = () => {
    if (following) onLost();
    following = false;
  };
  const welcome = (page, users) => {
    others.set(page, { users, at: Date.now() });
    if (up && age(told) > set.silence / 2) {
      // The machine has slept, or the stream is dead: what it has brought is not to be told as if it were new.
      hangUp();
      say({ counts: {} });
    } else if (users.every((user) => covered.has(user))) say({ counts: up ? Object.fromEntries(all) : {}, whole: up });
    else {
      say({ counts: {} });
      gathering = gathering ?? setTimeout(() => {
        gathering = undefined;
        openMore?.();
      }, GATHER_MORE);
    }
  };
  channel.onmessage = ({ data }) => {
    if (data.leave) others.delete(data.leave);
    if (data.want && leading) welcome(data.id, data.want);
    if (data.leave || data.want || leading || over.aborted) return;
    heard = Date.now();
    asked = 0;
    if (data.who) hello();
    if (data.down) {
      brokenAt = data.down === "broken" ? heard : 0;
      retryAfter = data.retryAfter ?? 0;
      if (brokenAt) lose();
    }
    if (!data.counts) return;
    if (data.whole) following = list.every((user) => has(data.counts, user));
    onCounts(data.counts, following);
    if (age(said) > SAY_AGAIN) hello();
  };
  const check = () => {
    if (leading) return;
    if (following && age(heard) > set.silence / 2) {
      lose();
      hello();
    }
    // The page that has the lock is frozen, and this one is looked at.
    if (queue && asked && age(asked) > set.firstEvent && !isHidden()) {
      asked = 0;
      force = true;
      queue.abort();
    }
  };
  const timer = setInterval(check, tick(set));
  hello();

  return {
    /** Everybody who is watched: here, then elsewhere. */
    everybody() {
      for (const [page, { at }] of others) if (age(at) > FORGET) others.delete(page);
      return distinct([...list, ...[...others.values()].map(({ users }) => users).flat()]);
    },
    opened(users, more) {
      [all, covered, up, openMore] = [new Map(), new Set(users), false, more];
    },
    tell(counts, whole) {
      const beat = Object.keys(counts).length === 0;
      if (!leading || (beat && age(told) < BEAT)) return;
      told = Date.now();
      Object.entries(counts).forEach(([user, count]) => all.set(user, count));
      const first = whole && !up;
      up = whole;
      say({ counts: first ? Object.fromEntries(all) : counts, whole: first });
    },
    down(closed, after) {
      [covered, up, openMore] = [new Set(), false, undefined]; // what came is old when the lock is here again
      if (leading) say({ down: closed ? "closed" : "broken", retryAfter: after });
    },
    /** Does `work` when the lock is here; `giveUp` is called if it is to end, as when another page takes the lock away. */
    async turn(work, giveUp, settle) {
      hangUp = giveUp;
      for (;;) {
        const waits = new AbortController();
        queue = waits;
        let result;
        let lost = false;
        const lead = async () => {
          queue = undefined;
          asked = 0;
          if (heard) await sleep(GATHER, over); // what the last holder said may come after its lock
          const left = Math.max(retryAfter - age(brokenAt) / 1000, 0);
          if (age(brokenAt) < set.firstEvent || left > 0) await settle({ retryAfter: left });
          if (over.aborted || lost) return;
          leading = true;
          following = false;
          say({ who: true });
          await sleep(GATHER, over);
          if (!lost) await (result = work());
        };
        const options = force ? { steal: true } : { signal: waits.signal };
        force = false;
        try {
          await navigator.locks.request(name, options, lead);
          return (await result) ?? { hungUp: true };
        } catch (error) {
          if (over.aborted) return { hungUp: true };
          if (error?.name !== "AbortError") throw error;
          if (queue) continue; // to take it away from a page that is frozen
          lost = true;
          leading = false;
          hangUp();
          await result;
          hello();
        } finally {
          queue = undefined;
          leading = false;
        }
      }
    },
    wake(lost) {
      if (leading) return;
      if (lost || age(heard) > set.silence / 2) lose();
      hello();
    },
    leave() {
      channel.postMessage({ leave: id });
      if (leading) channel.postMessage({ down: "closed" });
      channel.close();
      clearInterval(timer);
      clearTimeout(gathering);
      queue?.abort();
    },
  };
}

/** No name where pages cannot share: it takes a document, a secure context, and both interfaces. */
function sharedName(base, self) {
  const able = page() && typeof BroadcastChannel === "function" && typeof navigator === "object" && navigator.locks;
  try {
    return able ? `otc-im/2 ${new URL(`${base}/v1`, page().baseURI).href} ${self}` : undefined;
  } catch {
    return undefined; // no address; `fetch` will say so
  }
}

/** A connection for each part. `done` comes once the server ends one (false) or `hangUp` is called (true), and rejects
 * when one breaks. `onCounts` gets what has come, or nothing as a sign of life, and whether all parts have begun. */
function openStream(parts, open, { silence, firstEvent }, onCounts) {
  const link = new AbortController();
  const links = parts.map((users) => ({ started: false, awaits: kindsOf(users), heard: Date.now() }));
  let hungUp = false;
  let broken;

  async function read(users, part) {
    const headers = { Accept: "text/event-stream" };
    const response = await open(users, { headers, cache: "no-store", signal: link.signal });
    if (!/^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "")) {
      throw failure("no_stream", "the answer is not an event stream");
    }
    if (!response.body?.getReader) throw failure("no_stream", "streams cannot be read here");
    const feed = eventReader((event) => {
      const kind = event.type === "" ? "unread" : event.type;
      if (event.data === undefined || (kind !== "unread" && kind !== "total")) return;
      if (link.signal.aborted) return;
      const answer = countsOf(event.data);
      const counts = kind === "total" ? asCounts(totalOf(answer)) : answer;
      part.awaits.delete(kind);
      part.started = part.awaits.size === 0;
      onCounts(counts, links.every(({ started }) => started));
    });
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await received(() => reader.read());
      if (done || link.signal.aborted) return;
      feed(value);
      if (!part.started) continue;
      part.heard = Date.now();
      if (links.every(({ started }) => started)) onCounts({}, true);
    }
  }

  // By the clock, and not by one long timer: timers stand still while a machine sleeps.
  const check = () => {
    const late = links.find(({ started, heard }) => age(heard) > (started ? silence : firstEvent));
    if (!late) return;
    broken = late.started
      ? failure("silent", "the stream has gone silent")
      : failure("no_stream", "the stream brought no map in time");
    link.abort();
  };
  const timer = setInterval(check, tick({ silence, firstEvent }));
  const gone = new Promise((resolve) => link.signal.addEventListener("abort", resolve));
  const finish = (error) => {
    clearInterval(timer);
    link.abort();
    if (broken || (error && !hungUp)) throw broken ?? error;
    return hungUp;
  };
  const done = Promise.race([gone, ...parts.map((users, n) => read(users, links[n]))]).then(() => finish(), finish);
  return {
    done,
    /** Since the part that has been quiet longest was heard. */
    age: () => Math.max(...links.map(({ heard }) => age(heard))),
    hangUp() {
      hungUp = true;
      link.abort();
    },
  };
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

const distinct = (users) => [...new Set(Array.from(users, String))];

function encoded(id) {
  try {
    return encodeURIComponent(id);
  } catch {
    throw failure("bad_user", `the id ${JSON.stringify(id)} is not well-formed Unicode`);
  }
}

/** Commas part the ids of one `users`, encoded or not. Where an id has one, `users` is repeated, which makes each value
 * one id; a single id is named twice then, and answered once. */
function query(self, users) {
  const ids = users.map(encoded);
  const named = withComma(users) ? [...ids, ids[0]].map((id) => `users=${id}`).join("&") : `users=${ids.join(",")}`;
  return `self=${encoded(self)}&${named}`;
}

/** The same of a part: its people, if there are any, and the total, if it has that. */
function streamQuery(self, part) {
  const people = part.filter((user) => !TOTAL.includes(user));
  return (people.length > 0 ? query(self, people) : `self=${encoded(self)}`) + (hasTotal(part) ? ASK_TOTAL : "");
}

const withComma = (users) => users.some((user) => user.includes(","));

/** Such parts of people; the total goes with the first. */
function partsOf(all, room) {
  const [first = [], ...more] = split(all.filter((user) => !TOTAL.includes(user)), room);
  return [hasTotal(all) ? [...first, ...TOTAL] : first, ...more];
}

const hasTotal = (users) => users.includes(MESSAGES);
const isPerson = (/** @type {any[]} */ [user]) => !TOTAL.includes(user);
/** The events that have to come before a part has begun. */
const kindsOf = (users) =>
  new Set([...(users.length > (hasTotal(users) ? TOTAL.length : 0) ? ["unread"] : []), ...(hasTotal(users) ? ["total"] : [])]);

/** Parts that the service takes: of so many users, and of at most `room` once encoded. */
function split(users, room) {
  const between = withComma(users) ? "&users=".length : 1;
  const parts = [];
  let left = 0;
  for (const user of users) {
    const size = encoded(user).length + between;
    if (parts.length === 0 || size > left || parts[parts.length - 1].length === MOST_USERS) {
      parts.push([]);
      left = room;
    }
    parts[parts.length - 1].push(user);
    left -= size;
  }
  return parts;
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

function totalOf(counts) {
  if (!has(counts, "messages") || !has(counts, "users")) throw badAnswer("the answer is not a total");
  return counts;
}

function leftOf(counts) {
  if (!has(counts, "unread")) throw badAnswer("the answer does not tell what is left");
  return counts.unread;
}

const asCounts = ({ messages, users }) => ({ [MESSAGES]: messages, [USERS]: users });

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
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

const failure = (code, detail, cause) => new OtcImError(detail, { code, detail, cause });

/** What `fetch` or a body gives. Only what fails here is the network's doing; any other error stays what it is. */
async function received(get) {
  try {
    return await get();
  } catch (cause) {
    const detail = "there was no answer";
    throw new OtcImError(`${detail}: ${cause?.message ?? cause}`, { code: "network", detail, cause });
  }
}

/** Asking again would not help: so with a mistake, be it the caller's or this file's. */
function isFinal(error) {
  if (error === undefined) return false;
  return !(error instanceof OtcImError) || FINAL.has(error.status) || error.code === "bad_user";
}

/** Runs `work` until it is done, `limit` is over or the caller's signal is given, whether it heeds its own or not. */
async function bounded(limit, signal, work) {
  const bound = new AbortController();
  let timer;
  let abort;
  const cut = new Promise((_, reject) => {
    timer = setTimeout(() => reject(failure("timeout", "the service did not answer in time")), limit);
    abort = () => reject(signal.reason);
    signal?.addEventListener("abort", abort);
  });
  try {
    if (signal?.aborted) throw signal.reason;
    return await Promise.race([work(bound.signal), cut]);
  } catch (error) {
    if (!signal?.aborted) throw error;
    // Older signals have no reason.
    throw signal.reason === undefined ? Object.assign(new Error("aborted"), { name: "AbortError" }) : signal.reason;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
    bound.abort();
  }
}

/** Ends early if the signal is given, or by what `wakes` is told. */
function sleep(time, signal, wakes = (_wake) => {}) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve(undefined);
    };
    const timer = setTimeout(wake, Math.min(time, LONGEST_WAIT));
    signal.addEventListener("abort", wake);
    wakes(wake);
  });
}

/** Rests that can be cut short, but not below `least`; `skip` counts for the next one too if there is none now. */
function pacer(signal) {
  let due = false;
  let wake = () => {};
  return {
    cut: () => wake(),
    skip() {
      due = true;
      wake();
    },
    async rest(time, least = 0) {
      if (least > 0) await sleep(least, signal);
      if (!due && time > least) await sleep(time - least, signal, (early) => (wake = early));
      wake = () => {};
      due = false;
    },
  };
}

/** Whoever waits goes on when it rings. */
function bell() {
  let waiting = [];
  return {
    wait: () => new Promise((go) => waiting.push(go)),
    ring() {
      const all = waiting;
      waiting = [];
      all.forEach((go) => go());
    },
  };
}

/** A page or a worker resolves a path by its own address; elsewhere the whole address is needed. */
function canReach(base) {
  if (page() || typeof location === "object") return true;
  try {
    return /^https?:\/\/[^/?#@]+(\/|$)/i.test(base) && Boolean(new URL(base));
  } catch {
    return false;
  }
}

const has = (object, key) => Object.prototype.hasOwnProperty.call(object, key);
/** By the clock of the machine; one that was set back makes things old as well. */
const age = (time) => Math.abs(Date.now() - time);
/** How often to look whether something is too old. */
const tick = ({ silence, firstEvent }) => Math.max(Math.min(silence, firstEvent) / 4, 5);

/** The document, where there is one that tells of its being hidden. */
const page = () => (typeof document === "object" && document && document.addEventListener ? document : undefined);
const isHidden = () => page()?.visibilityState === "hidden";

/** Listens if the target can be listened to; gives what ends it. */
function listen(target, handlers) {
  if (typeof target?.addEventListener !== "function") return () => {};
  const all = Object.entries(handlers);
  all.forEach(([type, handler]) => target.addEventListener(type, handler));
  return () => all.forEach(([type, handler]) => target.removeEventListener(type, handler));
}

function raise(error) {
  throw error;
}

/** Calls back; what a callback throws goes where an event listener's errors go, and the watch carries on. */
function tell(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}
