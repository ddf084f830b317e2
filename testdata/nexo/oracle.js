// The npm package @adyen/api-library as an oracle: reads one JSON question from standard input, writes one JSON answer.
//   {op: "seal", header, clear, key}   → what the library makes of it
//   {op: "open", sealed, key}          → the clear text, or {error}
//   {op: "model", message}             → the request as the library's own data model reads and writes it
"use strict";
const NexoCrypto = require("@adyen/api-library/lib/src/security/nexoCrypto").default;
const { ObjectSerializer } = require("@adyen/api-library/lib/src/typings/terminal/models");

function answer(q) {
  switch (q.op) {
    case "seal":
      return { sealed: NexoCrypto.encrypt(q.header, q.clear, q.key) };
    case "open":
      try {
        return { clear: new NexoCrypto().decrypt(q.sealed, q.key) };
      } catch (e) {
        return { error: String(e.message || e) };
      }
    case "model":
      return { message: ObjectSerializer.serialize(ObjectSerializer.deserialize(q.message, "TerminalApiRequest"), "TerminalApiRequest") };
  }
  throw new Error("unknown op " + q.op);
}

let text = "";
process.stdin.on("data", (d) => (text += d));
process.stdin.on("end", () => process.stdout.write(JSON.stringify(JSON.parse(text).map(answer))));
