// Never run: it has to compile, and what is marked has to be refused.

import { createClient, OtcImError } from "otc-im";
import type { Client, ClientOptions, Counts, Token, Total, Watch, WatchOptions, WatchState } from "otc-im";

declare const perhaps: { text?: string | undefined; signal?: AbortSignal; number?: number };

const tokens: Token[] = ["jwt", () => "jwt", async () => "jwt", ({ refresh }) => (refresh ? "new" : undefined)];
const options: ClientOptions = { baseUrl: perhaps.text, token: tokens[0], fetch, requestTimeout: perhaps.number };
const client: Client = createClient(options);
createClient();
createClient({ token: async ({ refresh }: { refresh: boolean }) => `${refresh}` });

const counts: Counts = await client.unread("alice", new Set(["bob"]), { signal: perhaps.signal });
const bob: number | undefined = counts["bob"];

const state = (next: WatchState, error?: Error) => [next satisfies string, error instanceof OtcImError && error.retryAfter];
const given: WatchOptions = { signal: perhaps.signal, onState: state, pollInterval: perhaps.number, share: false };
const watch: Watch = client.watch("alice", ["bob"], (map, changed) => [map["bob"], Object.keys(changed)], given);
watch.close();
client.watch("alice", [], () => {}, { onTotal: ({ messages, users }: Total) => messages - users });
const total: Total = await client.total("alice", { signal: perhaps.signal });
const left: number = await client.read("alice", "bob", { upTo: perhaps.number, signal: perhaps.signal });

try {
  await client.unread("alice", []);
} catch (error) {
  if (error instanceof OtcImError) [error.status satisfies number, error.code?.length, error.field, error.name];
}

// @ts-expect-error a reader is needed
client.unread(["bob"]);
// @ts-expect-error a peer is needed
client.read("alice");
// @ts-expect-error there is no such option
createClient({ url: "/im" });
// @ts-expect-error a count is a number
const wrong: string | undefined = counts["bob"];

export { bob, left, total, wrong };
