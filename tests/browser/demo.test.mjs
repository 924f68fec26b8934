// The demo page on a good day: badges, notices, keyboard, languages, themes.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { chatWith, demoInBrowser, judged, link, openPage, shows } from "./support.mjs";

const { demo, browser } = await demoInBrowser();

test("a badge rises within a second of sending, and goes when the chat is read", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "carol");
  await chat.open();
  await link(page, "streaming");
  await shows(chat.badge, 0);
  await chat.says("Hello");
  await shows(chat.badge, 1, 1_000);
  await chat.does("ten");
  await shows(chat.badge, 11, 1_000);
  assert.equal(await chat.badge.textContent(), "11");
  await chat.does("recall");
  await shows(chat.badge, 10);
  await judged(chat, "right");
  assert.match(await chat.phone("alice").textContent(), /Hello/);
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
  await judged(chat, "right");
  assert.equal(await chat.badge.isVisible(), false, "no badge is no message");
});

test("an id that NetEase would not take works like any other", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "小明");
  await chat.open();
  await chat.says("你好");
  await shows(chat.badge, 1);
  await judged(chat, "right");
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
});

test("a system notice arrives on the phone", async (t) => {
  const page = await openPage(t, browser, demo.url);
  const chat = chatWith(page, "dave");
  await chat.open();
  await chat.does("shipped");
  await chat.phone("alice").locator(".notice", { hasText: "20410" }).waitFor();
});

test("a chat picked while another still opens stays in front", async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const before = (page) =>
    page.route("**/v1/accounts/bind", async (route) => {
      if (route.request().postDataJSON().seller === "bob") await held;
      await route.continue();
    });
  const page = await openPage(t, browser, demo.url, { before });
  await chatWith(page, "grace").open();
  release();
  await page.locator('[data-check="bob"][data-verdict="right"]').waitFor();
  assert.equal(await page.locator('[data-phone="grace"]').count(), 1);
});

test("everything works by keyboard, and a screen reader is told", async (t) => {
  const page = await openPage(t, browser, demo.url);
  await page.locator('#orders [data-user="erin"]').first().focus();
  await page.keyboard.press("Enter");
  const chat = chatWith(page, "erin");
  await chat.phone("erin").waitFor();
  await chat.phone("erin").locator(".words").focus();
  await page.keyboard.type("Good morning");
  await page.keyboard.press("Enter");
  await page.locator("#live", { hasText: "Erin: 1 unread" }).waitFor({ state: "attached" });
  assert.equal(await page.locator('#orders [data-user="erin"]').first().getAttribute("aria-label"), "Chat with Erin, 1 unread");
  await chat.phone("alice").locator('[data-act="read"]').focus();
  await page.keyboard.press("Space");
  await shows(chat.badge, 0);
  await page.keyboard.press("Tab");
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(ring, "solid", "what has the focus shows it");
});

test("both languages: by the browser's, by the switch, and kept", async (t) => {
  const page = await openPage(t, browser, demo.url, { context: { locale: "zh-CN" } });
  const texts = () => page.locator("[data-t]").allTextContents();
  const chinese = await texts();
  assert.equal(await page.locator("#orders-title").textContent(), "订单");
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  await page.locator("#language").click();
  const english = await texts();
  assert.equal(await page.locator("#orders-title").textContent(), "Orders");
  assert.equal(english.length, chinese.length);
  for (const [at, text] of english.entries()) {
    assert.ok(text && chinese[at] && text !== chinese[at], `not in both languages: ${text}`);
    assert.doesNotMatch(text, /\p{Script=Han}/u);
  }
  await page.reload();
  await page.locator(".phone").first().waitFor();
  assert.equal(await page.locator("#orders-title").textContent(), "Orders");
});

test("narrow screens scroll in one direction only, whatever the link says, and with a reader's wide letters", async (t) => {
  for (const locale of ["en-GB", "zh-CN"]) {
    for (const width of [320, 390, 768, 1024, 1280]) {
      const page = await openPage(t, browser, demo.url, { context: { locale, viewport: { width, height: 800 } } });
      await page.locator(".phone").first().waitFor();
      const widths = await page.evaluate(widthsInAllStates);
      assert.equal(Object.keys(widths).length, 8);
      for (const [state, wide] of Object.entries(widths)) assert.ok(wide <= width, `${wide} on ${width}, ${locale} ${state}`);
    }
  }
});

/** Runs in the page: how wide it is, by state of the link, with and without the text spacing of WCAG 1.4.12. */
async function widthsInAllStates() {
  const { drawLink } = await import("./orders.js");
  const spacing = new CSSStyleSheet();
  spacing.replaceSync("* { letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }");
  const widths = {};
  for (const sheets of [[], [spacing]]) {
    document.adoptedStyleSheets = sheets;
    for (const link of ["connecting", "streaming", "polling", "offline"]) {
      drawLink(link);
      widths[sheets.length ? `${link}, spaced` : link] = document.documentElement.scrollWidth;
    }
  }
  return widths;
}

test("light and dark, by the system and by the switch, and pictures of both", async (t) => {
  const images = process.env.UPDATE_IMAGES
    ? new URL("../../docs/images/", import.meta.url).pathname
    : join(tmpdir(), "otc-im-demo-images");
  await mkdir(images, { recursive: true });
  const page = await openPage(t, browser, demo.url, { context: { viewport: { width: 1360, height: 990 } } });
  for (const [id, ...words] of [["heidi", "Paid just now.", "Reference 20368."], ["小红", "在吗？"], ["bob"]]) {
    const chat = chatWith(page, id);
    await chat.open();
    for (const word of words) await chat.says(word);
  }
  const chat = chatWith(page, "bob");
  await chat.says("Hi Alice, is the price still good?");
  await shows(chat.badge, 1);
  await chat.does("read", "alice");
  await shows(chat.badge, 0);
  await chat.says("Yes. Please pay within fifteen minutes.", "alice");
  await chat.does("read");
  await chat.says("I have paid, please check.");
  await chat.says("The transfer ends in 20431.");
  await shows(chat.badge, 2);
  await chat.does("shipped");
  await chat.phone("alice").locator(".notice").waitFor();
  await judged(chat, "right");
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const grounds = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(images, `demo-${colorScheme}.png`), animations: "disabled" });
    grounds.push(await ground());
  }
  assert.notEqual(...grounds);
  await page.locator("#theme").click();
  assert.equal(await ground(), grounds[0], "the switch overrules the system");
  await page.reload();
  assert.equal(await ground(), grounds[0], "and is kept");
});
