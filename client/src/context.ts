// What the parts of one client share.

import type { NatsConnection } from "@nats-io/nats-core";
import { backoffMillis } from "./backoff.ts";
import { AuthenticationError, ClosedError, ConnectionError, LimitError, StatuswireError, UnavailableError } from "./errors.ts";
import type { ClientEvent, Listeners } from "./events.ts";
import type { Feeds } from "./feeds.ts";
import type { Attached, Link } from "./link.ts";
import type { Settings } from "./options.ts";
import type { Again } from "./recovery.ts";
import type { Requests } from "./request.ts";

/** What lives on the connection: subscriptions and lists of who is present. */
export type Participant = Omit<Attached, "connected"> & { connected(): void };

export interface Context {
  readonly settings: Settings;
  readonly link: Link;
  readonly feeds: Feeds;
  readonly requests: Requests;
  readonly events: Listeners<ClientEvent>;
  readonly participants: Set<Participant>;
}

/**
 * Whether asking again may help. A token that was good for the login and is no
 * longer ends the connection soon, and the next one has a fresh token or none comes.
 */
export function againOf(error: StatuswireError): Again {
  if (error instanceof LimitError) return error.limit === "requests" || error.limit === "histories" ? "always" : "restoring";
  return error instanceof UnavailableError || error instanceof ConnectionError || error instanceof AuthenticationError ? "always" : "never";
}

/** Milliseconds before a subscription or a request is tried again. */
export function retryMillis(attempt: number, retryAfterMillis: number | undefined): number {
  return (retryAfterMillis ?? 0) + backoffMillis({ firstMillis: 500, lastMillis: 15_000 }, attempt, 0.5 + Math.random() / 2);
}

/** The connection; waits for one, within the time for an answer. */
export async function connection({ link, settings }: Context, signal?: AbortSignal): Promise<NatsConnection> {
  signal?.throwIfAborted();
  if (link.state === "closed") throw new ClosedError("the client is closed");
  if (link.nats !== undefined) return link.nats;
  return link.next(settings.timeoutMillis, signal);
}

/** Asks once, and answers the JSON. */
export function ask(context: Context, subject: string): Promise<unknown> {
  return whileOpen(context, (nats) => context.requests.json(nats, subject));
}

/** Does it on the connection. What the end of the client has ended fails with its reason. */
export async function whileOpen<T>(context: Context, act: (nats: NatsConnection) => Promise<T>): Promise<T> {
  try {
    return await act(await connection(context));
  } catch (error) {
    context.link.ending.throwIfAborted();
    throw error;
  }
}
