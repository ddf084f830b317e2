// A register made of the npm package @adyen/api-library: it sends what standard input lists to the terminal on
// 127.0.0.1:8443 (the library always takes that port), encrypted, and writes the answers as the library read them.
//   {root, key, messages: [...]} → [...]
"use strict";
const { Client, Config, TerminalLocalAPI } = require("@adyen/api-library");

let text = "";
process.stdin.on("data", (d) => (text += d));
process.stdin.on("end", async () => {
  const { root, key, messages } = JSON.parse(text);
  const config = new Config({ apiKey: "none", environment: "TEST", certificatePath: root, terminalApiLocalEndpoint: "https://127.0.0.1" });
  const api = new TerminalLocalAPI(new Client(config));
  const answers = [];
  for (const m of messages) {
    try {
      answers.push(await api.request({ SaleToPOIRequest: m }, key));
    } catch (e) {
      answers.push({ error: String(e.message || e) });
    }
  }
  process.stdout.write(JSON.stringify(answers));
});
