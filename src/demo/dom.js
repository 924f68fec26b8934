// Small helpers for the page: elements, avatars, what is announced, what goes wrong.

/** An element: properties, then children. `class`, `data-…`, `aria-…` and `role` are attributes, `on…` listeners. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (/^(class|role|for|scope|colspan|tabindex)$|-/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** A round picture of somebody: the first letter on a colour of their own. */
export function avatar(person) {
  const picture = el("span", { class: "avatar", "aria-hidden": "true" }, [...person.name][0]);
  const hue = [...person.id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  picture.style.setProperty("--hue", hue);
  return picture;
}

/** For screen readers. */
export function announce(text) {
  byId("live").textContent = text;
}

let hiding;

/** A passing note that something did not work; `lasting` stays. */
export function complain(text, { lasting = false } = {}) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(hiding);
  if (!lasting) hiding = setTimeout(() => (toast.hidden = true), 7_000);
}
