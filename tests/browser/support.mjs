// A demo to test and a browser to test it with. See README.md for the environment variables.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { chromium } from "playwright-core";

const START_WITHIN = 20_000;

/** `{ url, restart, stop }`; `restart` is missing where the demo cannot be restarted from here. */
async function startDemo() {
  const { OTC_IM_BIN, OTC_IM_DEMO_URL, OTC_IM_DEMO_RESTART } = process.env;
  if (OTC_IM_DEMO_URL) {
    const url = OTC_IM_DEMO_URL.replace(/\/*$/, "/");
    const restart = OTC_IM_DEMO_RESTART && (() => shell(OTC_IM_DEMO_RESTART).then(() => answers(url)));
    return { url, restart, stop: async () => {} };
  }
  if (!OTC_IM_BIN) throw new Error("set OTC_IM_BIN to the program, or OTC_IM_DEMO_URL to a running demo");
  return ownDemo(OTC_IM_BIN);
}

async function ownDemo(program) {
  const data = await mkdtemp(join(tmpdir(), "otc-im-demo-"));
  const args = ["dev", "--data-dir", data, "--simulator-listen", "127.0.0.1:0"];
  let listen = "127.0.0.1:0"; // any free port, and after a restart the same
  let child;
  const start = async () => {
    const env = { ...process.env, OTC_IM__HTTP__LISTEN: listen };
    child = spawn(program, args, { env, cwd: data, stdio: ["ignore", "pipe", "inherit"] });
    const url = await printedUrl(child.stdout);
    listen = new URL(url).host;
    return url;
  };
  const halt = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  const stop = () => halt().then(() => rm(data, { recursive: true, force: true }));
  const late = setTimeout(() => child.kill("SIGKILL"), START_WITHIN);
  try {
    return { url: await start(), restart: () => halt().then(start), stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

/** The demo's URL, as the program prints it once it listens. */
async function printedUrl(out) {
  let text = "";
  for await (const chunk of out.iterator({ destroyOnReturn: false })) {
    text += chunk;
    const [url] = /http:\/\/[^/\s]+\/demo\/(?=\s)/.exec(text) ?? [];
    if (!url) continue;
    out.resume();
    return url;
  }
  throw new Error(`the program ended before it printed the demo's URL: ${text}`);
}

async function answers(url) {
  const deadline = Date.now() + START_WITHIN;
  for (;;) {
    const response = await fetch(new URL("config.json", url)).catch(() => undefined);
    if (response?.ok) return;
    if (Date.now() > deadline) throw new Error(`${url} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function shell(command) {
  const child = spawn(command, { shell: true, stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${command}: ${code}`);
}

/** A demo and a browser for the tests of one file, which end with them. */
export async function demoInBrowser() {
  const demo = await startDemo();
  let browser;
  after(async () => {
    await browser?.close();
    await demo.stop();
  });
  browser = await startBrowser();
  return { demo, browser };
}

async function startBrowser() {
  const given = process.env.CHROMIUM;
  const executablePath = given ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
  if (!executablePath) throw new Error("there is no Chromium: install it, or set CHROMIUM to its path");
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}

/** The page in a fresh profile, loaded and with its first counts; fails the test on any error of the page. */
export async function openPage(t, browser, url, { context: options, before, waitFor = ".badge[data-count='0']" } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  t.after(async () => {
    await context.close();
    if (errors.length > 0) throw new Error(`the page failed: ${errors.join("; ")}`);
  });
  await before?.(page);
  await page.goto(url);
  await page.locator(waitFor).first().waitFor({ state: "attached" });
  return page;
}

/** Handles for one chat: its badge, its phones, its line of the check. */
export function chatWith(page, id) {
  const phone = (owner) => page.locator(`[data-phone="${owner}"]`);
  const open = page.locator(`#orders [data-user="${id}"]`).first();
  return {
    open: async () => {
      await open.click();
      await phone(id).waitFor();
    },
    badge: open.locator(".badge"),
    says: async (words, by = id) => {
      await phone(by).locator(".words").fill(words);
      await phone(by).locator(".words").press("Enter");
    },
    does: (action, by = id) => phone(by).locator(`[data-act="${action}"]`).click(),
    phone,
    verdict: page.locator(`[data-check="${id}"]`),
  };
}

/** Waits until a badge shows this number. */
export async function shows(badge, count, timeout = 5_000) {
  const page = badge.page();
  const handle = await badge.elementHandle();
  const until = ([node, wanted]) => node.dataset.count === wanted;
  await page.waitForFunction(until, [handle, `${count}`], { timeout, polling: 20 });
}

/** Waits for the verdict of the check: `right`, `moving` or `wrong`. */
export const judged = (chat, verdict, timeout = 15_000) =>
  chat.verdict.and(chat.verdict.page().locator(`[data-verdict="${verdict}"]`)).waitFor({ timeout });

export const link = (page, state, timeout = 15_000) =>
  page.locator(`#link[data-link="${state}"]`).waitFor({ timeout });
