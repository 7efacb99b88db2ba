// Node 20 has no WebSocket of its own; a browser has. With this the clients run
// here as they are published.
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;
