// The switches for NetEase's bad days.

import { simulator } from "./api.js";
import { byId, el } from "./dom.js";
import { t } from "./words.js";

/** What each switch sets when it is on, and when it is off. */
const SWITCHES = {
  duplicate: [3, 0],
  reorder: [50, 0],
  delayMs: [3_000, 0],
  dropEvery: [3, 0],
  down: [true, false],
  apiDown: [true, false],
};

export async function loadFaults(page) {
  page.faults = await simulator("GET", "faults");
}

export function drawFaults(page, guarded) {
  const items = Object.entries(SWITCHES).map(([name, [on, off]]) => {
    const box = el("input", { type: "checkbox", role: "switch", name, checked: Boolean(page.faults?.[name]) });
    box.addEventListener("change", () =>
      guarded(async () => {
        page.faults = await simulator("PUT", "faults", { [name]: box.checked ? on : off });
      }).finally(() => showFaults(page)),
    );
    const words = el("span", {}, el("b", {}, t(name)), el("small", {}, t(`${name}Hint`)));
    return el("li", {}, el("label", {}, box, words));
  });
  byId("faults").replaceChildren(...items);
  showFaults(page);
}

/** Sets the switches as the simulator has them. */
export function showFaults(page) {
  for (const name of Object.keys(SWITCHES)) {
    const box = byId("faults").querySelector(`[name="${name}"]`);
    if (box) box.checked = Boolean(page.faults?.[name]);
  }
  byId("reset").disabled = !Object.keys(SWITCHES).some((name) => page.faults?.[name]);
}

export async function resetFaults(page) {
  page.faults = await simulator("DELETE", "faults");
}
