// The service itself, as `otc-im dev` with its simulator: what the stand-in of the other tests is taken from.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createClient } from "../index.js";
import { recorded } from "./support.js";

const program = process.env.OTC_IM_BIN;
const options = { skip: program ? false : "OTC_IM_BIN names no program", timeout: 30_000 };
let folder;
let child;
let address = "127.0.0.1:0";
let token;

async function start() {
  const args = ["dev", "--data-dir", folder, "--simulator-listen", "127.0.0.1:0"];
  const env = { ...process.env, OTC_IM__HTTP__LISTEN: address };
  child = spawn(program, args, { env, cwd: folder, stdio: ["ignore", "pipe", "ignore"] });
  let printed = "";
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    printed += chunk;
    if (/\/demo\/\s/.test(printed)) break;
  }
  address = /http:\/\/([^/\s]+)\/demo\/\s/.exec(printed)[1];
  child.stdout.resume();
  ({ token } = await (await fetch(`http://${address}/demo/config.json`)).json());
}

async function halt() {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

before(async () => {
  if (!program) return;
  folder = await mkdtemp(join(tmpdir(), "otc-im-client-"));
  await start();
});
after(async () => {
  if (child) await halt();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const service = (more) => createClient({ baseUrl: `http://${address}`, token: () => token, ...more });
async function said(path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`http://${address}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}
/** The simulator forgets accounts when it ends, and who has none can neither write nor read. */
const bind = (seller) => said("/v1/accounts/bind", { buyer: "alice", seller });
async function send(from, count) {
  await bind(from);
  await said("/demo/simulator/send", { from, to: "alice", body: "hello", count });
}

test("asks once: a map, then a 304, then another map", options, async () => {
  const statuses = [];
  const client = service({
    fetch: async (...asked) => {
      const response = await fetch(...asked);
      statuses.push(response.status);
      return response;
    },
  });
  assert.deepEqual(await client.unread("alice", ["bob", "小明"]), { bob: 0, 小明: 0 });
  assert.deepEqual(await client.unread("alice", ["bob", "小明"]), { bob: 0, 小明: 0 });
  await send("bob", 2);
  assert.deepEqual(await client.unread("alice", ["bob", "小明"]), { bob: 2, 小明: 0 });
  assert.deepEqual(statuses, [200, 304, 200]);
  const many = Array.from({ length: 1_200 }, (_, n) => `somebody-${n}`);
  const map = await client.unread("alice", [...many, "bob", "bob"]);
  assert.deepEqual([Object.keys(map).length, map.bob], [1_201, 2], "in three requests");
  const odd = ["a,b", "100%", "a%2Cb", "a b", "a+b", "小明", "😀", "a&b=c", "__proto__"];
  assert.deepEqual(Object.keys(await client.unread("alice", odd)).sort(), [...odd].sort());
});

test("an error of the service has its code", options, async () => {
  const facts = (error) => [error.status, error.code, error.field];
  const refused = (client, ...asked) => client.unread(...asked).then(assert.fail, facts);
  assert.deepEqual(await refused(service(), "bob", ["alice"]), [403, "forbidden", undefined]);
  assert.deepEqual(await refused(service({ token: "no JWT" }), "alice", ["bob"]), [401, "unauthorized", undefined]);
  assert.deepEqual(await refused(service(), "alice", ["x".repeat(129)]), [422, "invalid", "users[0]"]);
});

test("watches: the whole map, what changes, and the same after a restart", options, async (t) => {
  const log = recorded(t, service(), ["carol", "dave"], { streamRetry: 100 });
  await log.until(() => log.maps.length === 1);
  assert.deepEqual(log.maps, [{ carol: 0, dave: 0 }]);
  await send("carol", 3);
  await log.until(() => log.maps.at(-1).carol === 3);
  assert.deepEqual(log.states, ["streaming"]);
  await halt();
  await start();
  await log.until(() => log.states.length > 1 && log.states.at(-1) === "streaming");
  await send("dave", 1);
  await log.until(() => log.maps.at(-1).dave === 1);
  await bind("carol");
  await said("/demo/simulator/read", { reader: "alice", peer: "carol" });
  await log.until(() => log.maps.at(-1).carol === 0);
  const carol = log.changes.filter((changed) => "carol" in changed).map((changed) => changed.carol);
  assert.equal(carol.filter((count) => count === 0).length, 2, `at first and once read: ${carol}`);
  assert.equal(carol.indexOf(0, 1), carol.length - 1, `no zero in between: ${carol}`);
});

test("the total: asked for, and watched", options, async (t) => {
  const { messages, users } = await service().total("alice");
  const log = recorded(t, service(), ["mallory"], { onTotal: true });
  await log.until(() => log.states[0] === "streaming");
  assert.deepEqual(log.totals, [{ messages, users }]);
  await send("mallory", 2);
  await log.until(() => log.totals.at(-1).messages === messages + 2);
  assert.deepEqual(log.totals.at(-1), { messages: messages + 2, users: users + 1 });
  assert.deepEqual(await service().total("alice"), { messages: messages + 2, users: users + 1 });
});

test("what is marked as read is read, and a watch hears of it", options, async (t) => {
  const log = recorded(t, service(), ["trent"]);
  await log.until(() => log.states[0] === "streaming");
  await send("trent", 2);
  await log.until(() => log.maps.at(-1).trent === 2);
  assert.equal(await service().read("alice", "trent", { upTo: 1 }), 2);
  assert.equal(await service().read("alice", "trent"), 0);
  await log.until(() => log.maps.at(-1).trent === 0);
});

test("a refused token is renewed, and the watch streams", options, async (t) => {
  const asked = [];
  const renewing = ({ refresh }) => {
    asked.push(refresh);
    return refresh ? token : "refused";
  };
  const log = recorded(t, service({ token: renewing }), ["ivan"]);
  await log.until(() => log.states[0] === "streaming");
  assert.deepEqual([asked.filter((refresh) => refresh).length, log.errors], [1, []]);
});

test("more users than a request may name are streamed together", options, async (t) => {
  const many = Array.from({ length: 700 }, (_, n) => `nobody-${n}`);
  const log = recorded(t, service(), [...many, "judy"]);
  await log.until(() => log.states[0] === "streaming");
  await send("judy", 1);
  await log.until(() => log.maps.at(-1).judy === 1);
  assert.equal(Object.keys(log.maps[0]).length, 701);
});

test("the twenty-first page of a reader polls", options, async (t) => {
  const pages = Array.from({ length: 20 }, () => recorded(t, service(), ["erin"]));
  for (const page of pages) await page.until(() => page.states[0] === "streaming");
  const last = recorded(t, service(), ["erin"]);
  await last.until(() => last.states.length > 0);
  assert.deepEqual([last.states, last.maps], [["polling"], [{ erin: 0 }]]);
  await send("erin", 1);
  await last.until(() => last.maps.at(-1).erin === 1);
});

test("a watch of somebody else's counts ends with the reason", options, async (t) => {
  const log = recorded(t, service(), ["alice"], {}, "bob");
  await log.until(() => log.errors.length === 1);
  assert.deepEqual([log.errors[0].code, log.states, log.maps], ["forbidden", ["offline"], []]);
});
