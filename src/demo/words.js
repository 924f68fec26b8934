// Every visible text, in English and Chinese, and which of the two is shown.

const WORDS = {
  en: {
    title: "OTC orders · otc-im demo", demo: "demo", skip: "Skip to the chats", language: "中文",
    languageHint: "切换到中文", theme: "Light or dark", you: "{name}, that is you",
    connecting: "connecting", streaming: "streaming", polling: "polling", offline: "offline",
    connectingHint: "The first answer is awaited.",
    streamingHint: "Counts arrive as they change.",
    pollingHint: "There is no stream at the moment: the page asks every five seconds.",
    offlineHint: "The service is out of reach: the counts are the last ones known.",
    orders: "Orders", show: "Show", all: "All", buy: "Buy", sell: "Sell",
    totalUnknown: "{orders} orders", total: "{orders} orders · {unread} unread",
    order: "Order", side: "Side", asset: "Asset", amount: "Amount", price: "Price (CNY)", state: "State",
    counterparty: "Counterparty",
    unpaid: "Unpaid", paid: "Paid", released: "Released", disputed: "In dispute", cancelled: "Cancelled",
    chatWith: "Chat with {name}", unread: "{count} unread", unknown: "not known yet",
    heard: "{name}: {count} unread",
    chats: "One chat, two phones", chatsHint: "Write on one, read on the other, and watch the badge among the orders.",
    noChat: "Pick a counterparty among the orders.", close: "Close the chat with {name}",
    pending: "Not friends yet, as NetEase is out of reach. The page goes on asking.",
    opening: "Opening the chat…", retry: "Try again",
    notOpened: "This chat could not be opened: {why}",
    phoneOf: "{name}’s phone", to: "to {name}", message: "Message", send: "Send",
    read: "Read", recall: "Recall last", ten: "Send 10", shipped: "Goods shipped",
    readHint: "{name} reads everything from {other}", recallHint: "{name} takes the last message back",
    shippedHint: "The site sends {other} a system notice",
    wasRead: "Read", recalled: "Message recalled", noText: "(text not kept)", silence: "Nothing said yet.",
    notice: "System notice", noticeShipped: "Your goods have shipped (order {order})",
    check: "Is the number right?",
    checkHint: "Shown is what the order page says; defined is counted afresh from everything said, read and recalled.",
    shown: "Shown", defined: "Defined", verdict: "Verdict", right: "right", moving: "on its way", wrong: "differs",
    unclear: "cannot be told",
    before: "{count} from before the simulator started",
    copies: "Copies on their way: {open} · delivered: {delivered} · sent again: {retried} · lost: {lost}",
    lost: "A copy that is lost for good comes never again. NetEase’s history still has its message: reconcile to count it.",
    reconcile: "Reconcile with NetEase’s history", reconciled: "Found in NetEase’s history: {count}",
    faults: "NetEase has a bad day", faultsHint: "Everything may be on at once. Try to get a wrong number.",
    reset: "All well again",
    duplicate: "Copies arrive four times", duplicateHint: "each copy is posted three more times",
    reorder: "Copies out of order", reorderHint: "shuffled among the next fifty",
    delayMs: "Copies late", delayMsHint: "each sets out three seconds later",
    dropEvery: "Lose copies for good", dropEveryHint: "every third one; reconcile below finds them",
    down: "Webhook cut off", downHint: "copies pile up until it is back",
    apiDown: "API cut off", apiDownHint: "no accounts, no notices",
    phrases: ["Hi, is the price still good?", "I have paid, please check.", "Could you release the coins?", "One moment, please.",
      "Which bank do you use?", "Received, thank you!"],
    noSimulator: "The simulator does not answer.",
    ended: "The service refuses the counts: {why}. Load the page again.", failed: "That did not work: {why}",
    start: "The page could not start: {why}",
  },
  zh: {
    title: "OTC 订单 · otc-im 演示", demo: "演示", skip: "跳到聊天", language: "EN",
    languageHint: "Switch to English", theme: "浅色或深色", you: "{name}，就是你",
    connecting: "连接中", streaming: "实时推送", polling: "轮询", offline: "离线",
    connectingHint: "正在等待第一次回答。",
    streamingHint: "数字一变就推送到页面。",
    pollingHint: "暂时没有推送：页面每五秒询问一次。",
    offlineHint: "暂时连不上服务：显示的是最后一次得知的数字。",
    orders: "订单", show: "显示", all: "全部", buy: "买入", sell: "卖出",
    totalUnknown: "{orders} 笔订单", total: "{orders} 笔订单 · {unread} 条未读",
    order: "订单号", side: "方向", asset: "币种", amount: "数量", price: "单价（CNY）", state: "状态",
    counterparty: "交易对方",
    unpaid: "待付款", paid: "已付款", released: "已放币", disputed: "申诉中", cancelled: "已取消",
    chatWith: "与 {name} 聊天", unread: "{count} 条未读", unknown: "加载中",
    heard: "{name}：{count} 条未读",
    chats: "一个会话，两部手机", chatsHint: "在一部手机上写，在另一部上读，看订单里的角标怎么变。",
    noChat: "请在订单里选一位交易对方。", close: "关闭与 {name} 的聊天",
    pending: "云信暂时连不上，两人还不是好友；页面会继续尝试。",
    opening: "正在打开聊天…", retry: "重试",
    notOpened: "打开聊天失败：{why}",
    phoneOf: "{name} 的手机", to: "发给 {name}", message: "消息", send: "发送",
    read: "标为已读", recall: "撤回上一条", ten: "连发 10 条", shipped: "已发货",
    readHint: "{name} 读完 {other} 发来的全部消息", recallHint: "{name} 撤回最后一条消息",
    shippedHint: "网站给 {other} 发一条系统通知",
    wasRead: "已读", recalled: "消息已撤回", noText: "（未保存内容）", silence: "还没有消息。",
    notice: "系统通知", noticeShipped: "您的货物已发出（订单 {order}）",
    check: "数字对吗？",
    checkHint: "“显示”是订单页面上的数字；“应为”是按全部发送、已读、撤回记录重新统计的结果。",
    shown: "显示", defined: "应为", verdict: "结果", right: "一致", moving: "同步中", wrong: "不一致",
    unclear: "无法判断",
    before: "其中 {count} 条来自模拟器启动之前",
    copies: "在途抄送：{open} · 已送达：{delivered} · 重发：{retried} · 丢失：{lost}",
    lost: "永久丢失的抄送不会再来，但云信的历史消息里还有：点“与云信历史对账”即可补上。",
    reconcile: "与云信历史对账", reconciled: "从云信历史补上 {count} 条消息",
    faults: "云信状况不佳", faultsHint: "可以同时打开。试试能不能弄出一个错误的数字。",
    reset: "全部恢复",
    duplicate: "抄送重复", duplicateHint: "每条共推送 4 次",
    reorder: "抄送乱序", reorderHint: "在五十条之内打乱",
    delayMs: "抄送延迟", delayMsHint: "每条延迟 3 秒推送",
    dropEvery: "永久丢失抄送", dropEveryHint: "每三条丢一条，可用下方对账补回",
    down: "Webhook 中断", downHint: "抄送积压，恢复后再送",
    apiDown: "API 中断", apiDownHint: "无法注册账号，无法发送通知",
    phrases: ["你好，这个价格还有效吗？", "我已付款，请查收。", "可以放币了吗？", "请稍等。", "你用哪家银行？", "收到，谢谢！"],
    noSimulator: "模拟器无响应。",
    ended: "服务拒绝提供数字：{why}。请重新载入页面。", failed: "操作失败：{why}",
    start: "页面启动失败：{why}",
  },
};

const KEY = "otc-im.language";
const preferred = () => (/^zh\b/i.test(navigator.language) ? "zh" : "en");
let language = WORDS[localStorage.getItem(KEY)] ? localStorage.getItem(KEY) : preferred();

/** A text by its key, with `{names}` filled in. */
export function t(key, values = {}) {
  const text = WORDS[language][key] ?? key;
  return typeof text === "string" ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "") : text;
}

/** A number as people of this language write it. */
export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

/** Hours and minutes. */
export const time = (milliseconds) =>
  new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hour12: false }).format(milliseconds);

/** Puts the texts into everything marked `data-t`. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(KEY, language);
}
