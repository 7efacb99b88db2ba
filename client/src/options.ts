// What `connect` is given, and what it makes of it.

import type { ClientEvent } from "./events.ts";
import { RequestError } from "./errors.ts";

export interface ConnectOptions {
  /** Where the server is: `wss://status.example.com`, or several that are tried in turn. */
  readonly servers: string | readonly string[];
  /**
   * The application's token for the user: a string, or a function that is asked
   * for a fresh one before each attempt to connect and before the old one ends.
   * Leave it out if an HttpOnly cookie holds the token.
   */
  readonly token?: string | (() => string | Promise<string>);
  /** Told of everything that happens, from the first attempt on; as `client.on`. */
  readonly onEvent?: (event: ClientEvent) => void;
  /**
   * Whether to go on trying when the first attempt finds no server; then `signal`
   * bounds it. What cannot get better, a refused token for instance, rejects at
   * once either way. Default true.
   */
  readonly waitOnFirstConnect?: boolean;
  /** Ends the attempt to connect; once there is a connection it has no effect. */
  readonly signal?: AbortSignal;
  /** Shown to the operator; at most 19 characters, as the client recovers by itself. Default `statuswire-client`. */
  readonly name?: string;
  /** The waits between attempts: anything between 0 and a bound that doubles from the first to the last. Default 1 s to 15 s. */
  readonly reconnect?: { readonly firstMillis?: number; readonly lastMillis?: number };
  /** How often a quiet connection is tried. Default 20 s. */
  readonly pingIntervalMillis?: number;
  /** How long an answer may take before the connection or the request is given up. Default 10 s. */
  readonly timeoutMillis?: number;
  /** How often a quiet subscription makes sure that its place in the stream does not grow old. Default 10 minutes. */
  readonly refreshIntervalMillis?: number;
  /** For runtimes without a WebSocket of their own: Node 20 with the package `ws`. */
  readonly WebSocket?: WebSocketConstructor;
}

/** As much of a WebSocket class as is needed; the browser's and that of the package `ws` fit. */
export type WebSocketConstructor = new (url: string) => object;

export interface Settings {
  readonly urls: readonly string[];
  readonly token: (() => string | Promise<string>) | undefined;
  readonly tokenIsFixed: boolean;
  readonly waitOnFirstConnect: boolean;
  readonly name: string;
  readonly reconnect: { readonly firstMillis: number; readonly lastMillis: number };
  readonly pingIntervalMillis: number;
  readonly timeoutMillis: number;
  readonly refreshIntervalMillis: number;
  readonly open: (url: string) => WebSocket;
}

/** A connection's name of this many characters would be resumed by the server. */
const resumableName = 20;

/** Fills in what was left out; throws a RequestError for what makes no sense. */
export function settingsOf(options: ConnectOptions): Settings {
  const { token, servers } = options;
  const name = options.name ?? "statuswire-client";
  if (name.length >= resumableName) bad(`name ${JSON.stringify(name)} is too long: at most ${resumableName - 1} characters`);
  const Constructor = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
  if (Constructor === undefined) bad("there is no WebSocket here: give the class of the package ws as the option WebSocket");
  const urls = (typeof servers === "string" ? [servers] : [...servers]).map(urlOf);
  if (urls.length === 0) bad("servers is empty: give at least one URL");
  return {
    urls,
    token: typeof token === "string" ? () => token : token,
    tokenIsFixed: typeof token === "string",
    waitOnFirstConnect: options.waitOnFirstConnect ?? true,
    name,
    reconnect: {
      firstMillis: positive("reconnect.firstMillis", options.reconnect?.firstMillis, 1_000),
      lastMillis: positive("reconnect.lastMillis", options.reconnect?.lastMillis, 15_000),
    },
    pingIntervalMillis: positive("pingIntervalMillis", options.pingIntervalMillis, 20_000),
    timeoutMillis: positive("timeoutMillis", options.timeoutMillis, 10_000),
    refreshIntervalMillis: positive("refreshIntervalMillis", options.refreshIntervalMillis, 600_000),
    open: (url) => new Constructor(url) as WebSocket,
  };
}

function urlOf(server: string): string {
  let url: URL;
  try {
    url = new URL(server, globalThis.location?.href);
  } catch (cause) {
    throw new RequestError("bad_request", `server ${JSON.stringify(server)} is no URL: write it as wss://host`, { cause });
  }
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(url.protocol)) bad(`server ${JSON.stringify(server)} is no WebSocket: write it as wss://host`);
  url.hash = "";
  return url.href;
}

/** 11.5 days. A timer that is given more than 24.8 of them goes off at once. */
const longestSettingMillis = 1e9;

function positive(name: string, value: number | undefined, standard: number): number {
  if (value === undefined) return standard;
  if (!(value > 0 && value <= longestSettingMillis)) bad(`${name} is ${value}: give a number of milliseconds greater than 0, at most ${longestSettingMillis}`);
  return value;
}

function bad(message: string): never {
  throw new RequestError("bad_request", message);
}
