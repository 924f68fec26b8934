// The page at /docs: "Try it out" works for each call of a site, with what it shows.

import assert from "node:assert/strict";
import { test } from "node:test";

import { demoInBrowser, openPage } from "./support.mjs";

const { demo, browser } = await demoInBrowser();

test("each call succeeds as it is shown", { timeout: 60_000 }, async (t) => {
  const { token } = await (await fetch(new URL("config.json", demo.url))).json();
  const page = await openPage(t, browser, new URL("/docs/", demo.url).href, { waitFor: ".btn.authorize" });
  await page.locator(".scheme-container .btn.authorize").click();
  await page.locator(".auth-container input").fill(token);
  await page.locator(".auth-container .btn.authorize").click();
  await page.locator(".btn-done").click();

  /** What a call answers that is tried out as it is shown, but for its `id`. */
  const tried = async (tag, name, id) => {
    const call = page.locator(`#operations-${tag}-${name}`);
    const fold = call.locator(".opblock-summary-control");
    await fold.click();
    await call.locator(".try-out__btn").click();
    if (id) await call.locator("tr[data-param-name=id] input").fill(id);
    const answered = page.waitForResponse((response) => response.request().resourceType() === "fetch");
    await call.locator(".execute").click();
    const response = await answered;
    await call.locator(".live-responses-table .response-col_status").first().waitFor();
    await fold.click(); // what is unfolded makes the page slow
    assert.ok(response.ok(), `${name}: ${response.status()} ${await response.text()}`);
    return response;
  };
  assert.equal((await (await tried("chat", "bind")).json()).friend.state, "added");
  const sent = await (await tried("chat", "sendNotification")).json();
  assert.equal((await (await tried("chat", "getNotification", sent.id)).json()).id, sent.id);
  for (const name of ["postUnread", "getUnread"]) {
    assert.deepEqual(await (await tried("chat", name)).json(), { bob: 0, carol: 0 });
  }
  await tried("operation", "getMetrics");
});
