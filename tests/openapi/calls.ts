// Calls by a client that openapi-typescript has typed: it compiles, and what it is answered is what its types say.

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Problem = components["schemas"]["Problem"];

const [, , baseUrl = "", token = ""] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** The body of a success. */
function body<T>({ data, error }: { data?: T; error?: Problem }): T {
  check(data !== undefined, `it was refused: ${error?.code}: ${error?.detail}`);
  return data;
}

// A field may be left out, or null; what the answer has is never null.
const bound = body(await client.POST("/v1/accounts/bind", { body: { buyer: "alice", buyerName: null, seller: "bob" } }));
check(bound.accid === "alice" && bound.friend.state === "added", `bound: ${JSON.stringify(bound)}`);

// `to` and `attach` are one thing or another, and all of them can be written.
const notices = [
  { to: "alice", attach: { type: "shipped", order: 42 }, payload: { sound: "bell" } },
  { to: "alice", attach: "shipped", payload: '{"sound":"bell"}', save: 1 },
  { to: ["alice", "bob"], attach: ["shipped", 42], option: { badge: false } },
] satisfies components["schemas"]["NotificationRequest"][];
for (const [at, notice] of notices.entries()) {
  const send = async () => {
    const header = { "Idempotency-Key": `typescript-${at}` };
    return body(await client.POST("/v1/notifications", { params: { header }, body: notice }));
  };
  const sent = await send();
  check((await send()).id === sent.id, "a key that is repeated answers the same notification");
  const status = body(await client.GET("/v1/notifications/{id}", { params: { path: { id: sent.id } } }));
  check(status.id === sent.id && status.state === "sent", `notified: ${JSON.stringify(status)}`);
  check((status.recipients?.length ?? 1) === [notice.to].flat().length, "each recipient has a state");
}

// A map has numbers, also where the ids have to be escaped.
const users = ["bob", "a,b", "小 明"];
const polled = body(await client.POST("/v1/unread", { body: { self: "alice", users } }));
check(users.every((user) => polled[user] === 0), `polled: ${JSON.stringify(polled)}`);
const query = { self: "alice", users };
const { data: got, response } = await client.GET("/v1/unread", { params: { query } });
check(JSON.stringify(got) === JSON.stringify(polled), `got: ${JSON.stringify(got)}`);
const header = { "If-None-Match": response.headers.get("ETag") ?? "" };
const unchanged = await client.GET("/v1/unread", { params: { query, header } });
check(unchanged.response.status === 304, `with its ETag: ${unchanged.response.status}`);
const { data: total } = await client.GET("/v1/unread/total", { params: { query: { self: "alice" } } });
check(total?.messages === 0 && total.users === 0, `total: ${JSON.stringify(total)}`);
const read = body(await client.POST("/v1/read", { body: { self: "alice", peer: "bob" } }));
check(read.unread === 0, `read: ${JSON.stringify(read)}`);

// An error has a type, too.
const refused = await client.POST("/v1/unread", { body: { self: "somebody-else", users } });
check(refused.error?.code === "forbidden", `refused: ${JSON.stringify(refused.error)}`);
