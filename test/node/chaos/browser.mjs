// The WebSocket of the chaos test: as in a browser, one that is closed waits for
// the other side's close frame for some seconds only, where the package waits for
// half a minute.
import WebSocket from "ws";

const closeTimeout = 2_000;

globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { closeTimeout });
  }
};
