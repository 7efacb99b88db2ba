// Where the server is, derived from where the page is.

/** The WebSocket beside the page: /ws, under whatever path a proxy put before. */
export function webSocketUrl(page: string): string {
  const url = new URL("ws", page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = "";
  url.hash = "";
  return url.href;
}
