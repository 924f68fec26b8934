// What was written on this page, by message id: the simulator keeps who wrote when, not the words.

const KEY = "otc-im.texts";
const MOST = 500;

const texts = new Map(read());

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

export function rememberText(messages, text) {
  for (const { msgidServer } of messages) texts.set(msgidServer, text);
  for (const id of [...texts.keys()].slice(0, Math.max(0, texts.size - MOST))) texts.delete(id);
  localStorage.setItem(KEY, JSON.stringify([...texts]));
}

export const textOf = (message) => message.body ?? texts.get(message.msgidServer);
