// Who is on the order page, and what is traded there. All of it is made up.

export const PEOPLE = [
  { id: "bob", name: "Bob" },
  { id: "carol", name: "Carol" },
  { id: "dave", name: "Dave" },
  { id: "erin", name: "Erin" },
  { id: "frank", name: "Frank" },
  { id: "grace", name: "Grace" },
  { id: "heidi", name: "Heidi" },
  { id: "ivan", name: "Ivan" },
  { id: "judy", name: "Judy" },
  { id: "小明", name: "小明" }, // an id that NetEase would not take as it is
  { id: "小红", name: "小红" },
];

const ROWS = [
  ["buy", "USDT", 12_000, 7.21, "unpaid", "bob"],
  ["sell", "USDT", 3_500, 7.24, "paid", "carol"],
  ["buy", "BTC", 0.085, 486_200, "paid", "小明"],
  ["sell", "ETH", 2.4, 18_930, "unpaid", "dave"],
  ["buy", "USDT", 50_000, 7.2, "released", "erin"],
  ["sell", "USDC", 8_000, 7.22, "disputed", "frank"],
  ["buy", "ETH", 1.15, 18_880, "unpaid", "bob"],
  ["sell", "USDT", 20_000, 7.23, "paid", "grace"],
  ["buy", "USDT", 6_600, 7.21, "released", "小红"],
  ["sell", "BTC", 0.02, 487_900, "unpaid", "heidi"],
  ["buy", "USDC", 15_000, 7.19, "paid", "ivan"],
  ["sell", "USDT", 1_000, 7.25, "released", "judy"],
  ["buy", "USDT", 9_900, 7.2, "cancelled", "carol"],
  ["sell", "ETH", 0.75, 18_960, "paid", "小明"],
  ["buy", "BTC", 0.31, 485_500, "unpaid", "grace"],
  ["sell", "USDT", 30_000, 7.22, "released", "dave"],
  ["buy", "USDT", 2_200, 7.21, "disputed", "heidi"],
  ["sell", "USDC", 4_400, 7.23, "unpaid", "erin"],
  ["buy", "ETH", 3, 18_850, "released", "frank"],
  ["sell", "USDT", 18_000, 7.24, "paid", "bob"],
];

export const ORDERS = ROWS.map(([side, asset, amount, price, state, who], at) => {
  return { id: 20_431 - at * 7, side, asset, amount, price, state, who };
});

const capital = (id) => id.charAt(0).toUpperCase() + id.slice(1);

/** The person with this id; the viewer is nobody on the list. */
export const person = (id) => PEOPLE.find((one) => one.id === id) ?? { id, name: capital(id) };
