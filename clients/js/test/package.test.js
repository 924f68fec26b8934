// What is packed for the registry, and what of it can be imported.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const facts = createRequire(import.meta.url)("otc-im/package.json"); // by its own name, as a page would

test("the package has the client, its types and its papers, and nothing else", () => {
  const options = { cwd: here, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], options));
  assert.deepEqual(
    packed.files.map(({ path }) => path).sort(),
    ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "index.d.ts", "index.js", "package.json"],
  );
});

test("the changelog begins with the present version", () => {
  const [, version] = /^## (\S+)/m.exec(readFileSync(`${here}CHANGELOG.md`, "utf8"));
  assert.equal(version, facts.version);
});
