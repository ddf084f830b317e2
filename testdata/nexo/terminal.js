// A terminal made of Node's HTTPS server and the crypto of the npm package @adyen/api-library. It takes its set-up from
// the first line of standard input, {cert, key, securityKey}, writes its port, and ends with standard input.
"use strict";
const https = require("https");
const NexoCrypto = require("@adyen/api-library/lib/src/security/nexoCrypto").default;

function bodyOf(category, request) {
  const ok = { Result: "Success" };
  const id = { TransactionID: "oqCW001432808270003.HQ54C6F5MTWCBX8", TimeStamp: new Date().toISOString() };
  switch (category) {
    case "Login":
      return { Response: ok, POISystemData: { POISoftware: { ApplicationName: "oracle", SoftwareVersion: "1" }, POITerminalData: { POISerialNumber: "275039202" } } };
    case "Diagnosis":
      return { Response: ok, POIStatus: { GlobalStatus: "OK" } };
    case "Payment": {
      const asked = request.PaymentTransaction.AmountsReq;
      return {
        Response: ok, POIData: { POITransactionID: id }, SaleData: request.SaleData,
        PaymentResult: {
          AmountsResp: { Currency: asked.Currency, AuthorizedAmount: asked.RequestedAmount },
          PaymentInstrumentData: { CardData: { PaymentBrand: "mc", MaskedPan: "541333 **** 0010", EntryMode: ["Contactless"] } },
          PaymentAcquirerData: { ApprovalCode: "123456" },
        },
      };
    }
  }
  return { Response: { Result: "Failure", ErrorCondition: "UnavailableService" } };
}

let server;
let text = "";
process.stdin.on("data", (d) => {
  text += d;
  if (server || !text.includes("\n")) return;
  const { cert, key, securityKey } = JSON.parse(text);
  server = https.createServer({ cert, key }, (req, res) => {
    let body = "";
    req.on("data", (d) => (body += d));
    req.on("end", () => {
      const sealed = JSON.parse(body).SaleToPOIRequest;
      const clear = JSON.parse(new NexoCrypto().decrypt(sealed, securityKey)).SaleToPOIRequest;
      const header = { ...clear.MessageHeader, MessageType: "Response" };
      const category = header.MessageCategory;
      const answer = { SaleToPOIResponse: { MessageHeader: header, [category + "Response"]: bodyOf(category, clear[category + "Request"]) } };
      res.setHeader("Content-Type", "application/json");
      res.end(JSON.stringify({ SaleToPOIResponse: NexoCrypto.encrypt(header, JSON.stringify(answer), securityKey) }));
    });
  });
  server.listen(0, "127.0.0.1", () => process.stdout.write(server.address().port + "\n"));
});
process.stdin.on("end", () => process.exit(0));
