// Independent printing software as an oracle: reads a JSON array of questions from standard input, writes that of the
// answers.
//   {op: "encode", options, calls: [[method, ...arguments]]} → {bytes}, base64: @point-of-sale/receipt-printer-encoder
//   {op: "transform", text, printer}                         → {text} and {bytes} of it: receiptline
//   {op: "print", text, options}                             → {state}: receiptio printing to a printer
"use strict";
const ReceiptPrinterEncoder = require("@point-of-sale/receipt-printer-encoder");
const receiptio = require("receiptio");
const receiptline = require("receiptline");

async function answer(q) {
  switch (q.op) {
    case "encode": {
      const encoder = new ReceiptPrinterEncoder(q.options);
      for (const [method, ...args] of q.calls) {
        if (method === "image") {
          args[0].data = new Uint8ClampedArray(Buffer.from(args[0].data, "base64"));
        }
        encoder[method](...args);
      }
      return { bytes: Buffer.from(encoder.encode()).toString("base64") };
    }
    case "transform": {
      const out = receiptline.transform(q.text, q.printer);
      return { text: out, bytes: Buffer.from(out, "binary").toString("base64") };
    }
    case "print":
      return { state: await receiptio.print(q.text, q.options) };
  }
  throw new Error("unknown op " + q.op);
}

let text = "";
process.stdin.on("data", (d) => (text += d));
process.stdin.on("end", async () => {
  const out = [];
  for (const q of JSON.parse(text)) {
    out.push(await answer(q));
  }
  process.stdout.write(JSON.stringify(out), () => process.exit(0)); // receiptio may still hold its connection
});
