// Types of the otc-im client; the README beside this file shows how it is used.

/** How many unread messages `self` has from each user. */
export type Counts = Record<string, number>;

/** All unread messages of `self`, and from how many people they are. */
export interface Total {
  messages: number;
  users: number;
}

/**
 * A JWT, or where to get one. The function is asked before every request, so let it keep what is still good. With
 * `refresh`, the service has refused (401) what it gave last: it should give another one then. It is asked so once for
 * each token that is refused, however many requests were; a second 401 goes to the caller.
 */
export type Token = string | ((request: { refresh: boolean }) => string | undefined | Promise<string | undefined>);

export interface ClientOptions {
  /**
   * Where the service is, up to and without `/v1`. In a browser it may be left out: the page's own origin. Where there
   * is no page and no worker, as in Node, it is an absolute http or https URL, unless `fetch` is given.
   */
  baseUrl?: string | undefined;
  /** Sent as `Authorization: Bearer`; without it nothing is sent. */
  token?: Token | undefined;
  /** Takes the place of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** How long `unread`, `total` and `read` wait for an answer, in milliseconds; 10 000 unless told otherwise. */
  requestTimeout?: number | undefined;
}

/**
 * - `streaming`: counts arrive as they change.
 * - `polling`: there is no stream at the moment; counts are asked for every `pollInterval`.
 * - `offline`: neither; the last map is as old as the last call of `onChange`.
 */
export type WatchState = "streaming" | "polling" | "offline";

export interface WatchOptions {
  /** Ends the watch, as `close()` does. */
  signal?: AbortSignal | undefined;
  /**
   * The watch has ended: 401, 403, 422, `bad_user`, or an error that is no {@link OtcImError} but a programming error,
   * which is uncaught where there is no `onError`. Called at most once; everything else is tried again.
   */
  onError?: ((error: OtcImError | Error) => void) | undefined;
  /** Called when the state changes; with the error that led to `offline`. */
  onState?: ((state: WatchState, error?: OtcImError | Error) => void) | undefined;
  /** The total is watched as well: called when the first answer is there, then whenever one of its numbers changes. */
  onTotal?: ((total: Total) => void) | undefined;
  /** Between polls, in milliseconds and give or take a tenth; 5 000 unless told otherwise. */
  pollInterval?: number | undefined;
  /** A stream without a single byte for this long is broken; 45 000 ms. The service sends one at least every 15 s. */
  silence?: number | undefined;
  /** A stream has to bring its first map within this time; 10 000 ms. Polls go on until it has. */
  firstEvent?: number | undefined;
  /** The longest first pause after a failure; each one doubles it, less up to nine tenths of it by chance; 2 000 ms. */
  backoff?: number | undefined;
  /** The longest such pause; `Retry-After` may ask for more; 30 000 ms. */
  maxBackoff?: number | undefined;
  /** How long until the stream is tried again where there was none; doubles, up to eightfold; 60 000 ms. */
  streamRetry?: number | undefined;
  /** One stream for all pages of the origin that watch for the same reader at the same address; true. */
  share?: boolean | undefined;
}

export interface Watch {
  /** Ends everything at once; no callback is called after it. */
  close(): void;
}

export interface Client {
  /**
   * Asks once: every user is in the answer, once. Conditional (`ETag`, 304) unless the users are too many for a URL; more
   * than 500 are several requests, and nobody is none.
   * Rejects with {@link OtcImError}, or with the signal's reason once it is aborted. A programming error stays what it is.
   */
  unread(self: string, users: Iterable<string>, options?: { signal?: AbortSignal | undefined }): Promise<Counts>;
  /** Asks once for the total: a conditional request, which rejects as `unread` does. */
  total(self: string, options?: { signal?: AbortSignal | undefined }): Promise<Total>;
  /**
   * What `peer` wrote to `self` is read, up to and including the `msgTimestamp` `upTo` (milliseconds); left out, all of it.
   * For pages that show a chat without NetEase's client. Resolves to how many messages are left; rejects as `unread` does,
   * and may be repeated.
   */
  read(
    self: string,
    peer: string,
    options?: { upTo?: number | undefined; signal?: AbortSignal | undefined },
  ): Promise<number>;
  /**
   * Keeps a map up to date: by a stream, or by polling where there is none. Nobody to watch is one empty map, and with
   * `onTotal` the total alone is kept up to date.
   *
   * `onChange` gets the whole map and what is new in it. It is not called before the first answer.
   */
  watch(
    self: string,
    users: Iterable<string>,
    onChange: (map: Counts, changed: Counts) => void,
    options?: WatchOptions,
  ): Watch;
}

/** Throws an {@link OtcImError} `bad_base_url` where `baseUrl` is needed and is no absolute http or https URL. */
export declare function createClient(options?: ClientOptions): Client;

export declare class OtcImError extends Error {
  constructor(
    message: string,
    facts?: {
      status?: number | undefined;
      code?: string | undefined;
      detail?: string | undefined;
      field?: string | undefined;
      retryAfter?: number | undefined;
      cause?: unknown;
    },
  );
  readonly name: "OtcImError";
  /** The HTTP status; 0 without an answer. */
  readonly status: number;
  /**
   * What a program decides by: a `code` of the service, `http_…` for an error page that is not its own, or
   * `network`, `timeout`, `no_token`, `bad_answer`, `silent`, `no_stream`; `bad_user` is an id that is not well-formed
   * Unicode, and `bad_base_url` is thrown by `createClient`.
   */
  readonly code: string | undefined;
  /** One sentence for a person. */
  readonly detail: string | undefined;
  /** The field that was refused. */
  readonly field: string | undefined;
  /** Seconds after which another try makes sense. */
  readonly retryAfter: number | undefined;
}
