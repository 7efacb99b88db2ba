// Browsers of different addresses: the server believes X-Forwarded-For of this
// machine when statuswire.conf names it as a proxy. The clients are unmodified;
// it is the WebSocket under them that comes from somewhere.
import WebSocket from "ws";
import { ws } from "./server.mjs";

let address;
let latest;
const waiting = [];

globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers: address ? { "X-Forwarded-For": address } : {} });
    latest = this;
    for (const resolve of waiting.splice(0)) resolve(this);
  }
};

/** What opens from now on comes from there. */
export function comeFrom(next) {
  address = next;
}

/** The WebSocket that was opened last. */
export const latestSocket = () => latest;

/** The WebSocket that is opened next. */
export const nextSocket = () => new Promise((resolve) => waiting.push(resolve));

let last = 0;
/** An address that no other test uses (RFC 5737). */
export const newAddress = () => `192.0.2.${++last}`;

/** What an upgrade is answered with, for what scripts in a page cannot see. */
export function upgradeFrom(from) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(ws, { headers: { "X-Forwarded-For": from } });
    socket.on("open", () => {
      socket.close();
      resolve({ status: 101 });
    });
    socket.on("error", reject);
    socket.on("unexpected-response", (_request, response) => {
      let text = "";
      response.on("data", (piece) => (text += piece));
      response.on("end", () =>
        resolve({ status: response.statusCode, retryAfter: Number(response.headers["retry-after"]), text: text.trim() }),
      );
    });
  });
}
