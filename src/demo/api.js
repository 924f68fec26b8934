// Every call the page makes besides the unread counts: to the service, and to the NetEase simulator.

let config;

export async function loadConfig() {
  const response = await fetch("./config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  config = await response.json();
  config.service = trimmed(config.service);
  config.simulator = trimmed(config.simulator);
  return config;
}

const trimmed = (address = "") => address.replace(/\/+$/, "");

/** A call that was answered with an error, or not at all (`status` 0). */
export class CallError extends Error {
  constructor(message, status, code) {
    super(message);
    Object.assign(this, { status, code });
  }
}

/** `simulator("POST", "send", { … })`: NetEase's side, and what its users do. */
export function simulator(method, path, body) {
  return call(method, `${config.simulator}/${path}`, body, {});
}

/** Finds in NetEase's history what was lost; answers how many messages. */
export const reconcile = () => call("POST", "./reconcile", undefined, {}).then(({ added }) => added);

/** `service("POST", "/v1/accounts/bind", { … })`: as the user of the page. */
export function service(method, path, body) {
  return call(method, config.service + path, body, { Authorization: `Bearer ${config.token}` });
}

async function call(method, address, body, headers) {
  const init = { method, headers, cache: "no-store" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(address, init).catch((error) => {
    throw new CallError(error.message, 0);
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new CallError(answer.detail ?? answer.error ?? `${response.status}`, response.status, answer.code);
}

/** `pairs({ reader: "alice" })` → `reader=alice` */
export const pairs = (values) => new URLSearchParams(values).toString();
