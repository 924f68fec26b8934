// The demo page on bad days: no stream, a restart, and everything NetEase can do wrong.

import assert from "node:assert/strict";
import { test } from "node:test";

import { chatWith, demoInBrowser, judged, link, openPage, shows } from "./support.mjs";

const { demo, browser } = await demoInBrowser();

test("without the stream the page polls, and an unchanged map costs a 304", async (t) => {
  const statuses = [];
  const before = async (page) => {
    await page.route("**/v1/unread/stream*", (route) => route.fulfill({ status: 404, body: "{}" }));
    page.on("response", (response) => {
      if (new URL(response.url()).pathname === "/v1/unread") statuses.push(response.status());
    });
  };
  const page = await openPage(t, browser, demo.url, { before });
  await link(page, "polling");
  if (!statuses.includes(304)) await page.waitForResponse((response) => response.status() === 304);
  const chat = chatWith(page, "frank");
  await chat.open();
  await chat.says("Hello");
  await shows(chat.badge, 1, 7_000);
  await judged(chat, "right");
  assert.ok(statuses.every((status) => status === 200 || status === 304), `${statuses}`);
  await chat.does("read", "alice");
});

test("no number is shown before there is one", async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const before = (page) => page.route(/\/v1\/unread/, (route) => held.then(() => route.continue()));
  const page = await openPage(t, browser, demo.url, { before, waitFor: "#orders .badge[data-count='']" });
  await page.locator(".phone").first().waitFor();
  assert.equal(await page.locator("#orders .badge:not([data-count=''])").count(), 0);
  assert.match(await page.locator("#orders .who").first().getAttribute("aria-label"), /not known yet/);
  assert.doesNotMatch(await page.locator("#total").textContent(), /unread/);
  release();
  await page.locator("#orders .badge[data-count='0']").first().waitFor({ state: "attached" });
});

test("badges survive a restart of the service, and live on after it", async (t) => {
  if (!demo.restart) return t.skip("the demo cannot be restarted from here: set OTC_IM_BIN or OTC_IM_DEMO_RESTART");
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "grace");
  await chat.open();
  await chat.says("one");
  await chat.says("two");
  await shows(chat.badge, 2);
  await judged(chat, "right");
  const seen = [];
  await page.exposeFunction("noteBadge", (count) => seen.push(count));
  await chat.badge.evaluate((badge) => {
    new MutationObserver(() => window.noteBadge(badge.dataset.count)).observe(badge, { attributes: true });
  });
  await demo.restart();
  await link(page, "streaming", 40_000);
  assert.equal(await chat.badge.textContent(), "2");
  await chat.says("three");
  await shows(chat.badge, 3);
  await chat.does("shipped");
  await chat.phone("alice").locator(".notice").waitFor();
  assert.ok(!seen.includes("0") && !seen.includes(""), `the badge showed ${seen}`);
  await judged(chat, "right");
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
  await judged(chat, "right");
});

test("what is written before the page has seen a restart is counted on top", async (t) => {
  if (!demo.restart) return t.skip("the demo cannot be restarted from here");
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "erin");
  await chat.open();
  await chat.says("one");
  await shows(chat.badge, 1);
  await judged(chat, "right");
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route("**/simulator/stats", (route) => held.then(() => route.continue()));
  await demo.restart();
  await link(page, "streaming", 40_000);
  await chat.says("two");
  await shows(chat.badge, 2);
  release();
  await chat.verdict.locator("td.defined", { hasText: "2" }).waitFor();
  await judged(chat, "right");
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
});

test("copies that are lost for good are found again in NetEase's history", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "ivan");
  await chat.open();
  await page.locator('[name="dropEvery"]').check();
  await chat.does("ten");
  await chat.verdict.locator("td.defined", { hasText: "10" }).waitFor();
  await judged(chat, "wrong");
  await page.locator("#reset").click();
  await page.locator("#reconcile").click();
  await shows(chat.badge, 10);
  await judged(chat, "right");
  assert.match(await page.locator("#reconciled").textContent(), /[1-9]/);
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
});

test("copies repeated, shuffled and late end in the right number", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "heidi");
  await chat.open();
  for (const fault of ["duplicate", "reorder", "delayMs"]) await page.locator(`[name="${fault}"]`).check();
  await chat.does("ten");
  await chat.does("recall");
  await chat.does("ten");
  await shows(chat.badge, 19, 15_000);
  await judged(chat, "right");
  await chat.does("read", "alice");
  await shows(chat.badge, 0, 15_000);
  await judged(chat, "right");
  await page.locator("#reset").click();
  await page.locator("#reset:disabled").waitFor();
  assert.equal(await page.locator("#faults :checked").count(), 0);
});

test("a count is judged by what has come, and not at all where nobody can be asked", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const verdicts = await page.evaluate(async () => {
    const { verdict } = await import("/demo/check.js");
    const idle = { queued: 0, inFlight: 0, parked: 0 };
    const of = (shown, page) => {
      const chat = { id: "x", defined: 1, apartSince: 0 };
      return verdict(chat, { counts: { x: shown }, link: "streaming", copies: idle, ...page }, 60_000);
    };
    const open = ["queued", "inFlight", "parked"].map((state) => of(0, { copies: { ...idle, [state]: 1 } }));
    const nobody = [of(0, { copies: undefined }), of(1, { copies: undefined }), of(0, { link: "offline" })];
    return { right: of(1, {}), wrong: of(0, {}), open, nobody };
  });
  const [moving, unclear] = ["moving", "unclear"].map((word) => [word, word, word]);
  assert.deepEqual(verdicts, { right: "right", wrong: "wrong", open: moving, nobody: unclear });
});

test("what is held back is on its way, then right", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "ivan");
  await chat.open();
  await page.locator('[name="down"]').check();
  await chat.says("Hello");
  await chat.verdict.locator("td.defined", { hasText: "1" }).waitFor();
  await judged(chat, "moving");
  await page.locator("#reset").click();
  await shows(chat.badge, 1);
  await judged(chat, "right");
  await chat.does("read", "alice");
});

test("with the API cut off a friendship is pending, and made once it is back", async (t) => {
  const page = await openPage(t, browser, demo.url);
  await page.locator(".phone").first().waitFor();
  await page.locator('[name="apiDown"]').check();
  const chat = chatWith(page, "judy");
  await page.locator('#orders [data-user="judy"]').first().click();
  await page.locator("#pending").waitFor({ timeout: 20_000 });
  await page.locator("#reset").click();
  await page.locator("#pending").waitFor({ state: "hidden", timeout: 20_000 });
  await chat.says("Hello");
  await shows(chat.badge, 1);
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
});

test("a chat that cannot be opened says why, and opens when asked again", async (t) => {
  const refusal = { title: "Unavailable", status: 503, code: "netease_unavailable", detail: "NetEase is out of reach" };
  const before = (page) => page.route("**/v1/accounts/bind", (route) => route.fulfill({ status: 503, json: refusal }));
  const page = await openPage(t, browser, demo.url, { before });
  await page.locator("#phones", { hasText: "NetEase is out of reach" }).waitFor();
  await page.unroute("**/v1/accounts/bind");
  await page.locator("#phones .button", { hasText: "Try again" }).click();
  await page.locator(".phone").first().waitFor();
});
