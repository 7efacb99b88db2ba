// All that the page shows, and how each event changes it. Pure: the connection
// (connection.ts) makes events, the view draws the model.
//
//   idle ─▶ connecting ─▶ live ⇄ reconnecting
//               │           │         │
//               └───────────┴─────────┴──▶ closed ─▶ connecting …

import {
  type Category,
  countCategory,
  isOn,
  mergeCategories,
  refuseCategory,
  switchCategory,
} from "./categories.ts";
import type { Joined } from "./join.ts";
import { addNotice, dismissNotice, noNotices, type Notices } from "./notices.ts";
import { isDouble, noSequences, remember, type Sequences, startedOver } from "./sequences.ts";
import type { Delivered } from "./status.ts";
import { addEntry, clearEntries, emptyTimeline, type Entry, type Timeline } from "./timeline.ts";

export type LinkState = "idle" | "connecting" | "live" | "reconnecting" | "closed";

export interface Model {
  readonly link: { readonly state: LinkState; /** Why, in words; may be empty. */ readonly note: string };
  /** The conversation watched; null before the first join and after a refused one. */
  readonly conversation: string | null;
  readonly categories: readonly Category[];
  /** The stream that `seen` is of; null before the first join. */
  readonly epoch: string | null;
  /** Category → its newest status. */
  readonly latest: ReadonlyMap<string, Entry>;
  readonly timeline: Timeline;
  /** While paused the timeline drawn stays as it was then. */
  readonly pausedAt: Timeline | null;
  readonly seen: Sequences;
  /** What was seen when the last snapshot was asked for. */
  readonly seenAtAsk: Sequences;
  readonly doubles: number;
  readonly notices: Notices;
}

export const emptyModel: Model = {
  link: { state: "idle", note: "" },
  conversation: null,
  epoch: null,
  categories: [],
  latest: new Map(),
  timeline: emptyTimeline,
  pausedAt: null,
  seen: noSequences,
  seenAtAsk: noSequences,
  doubles: 0,
  notices: noNotices,
};

export type Event =
  | { readonly type: "link"; readonly state: LinkState; readonly note?: string }
  | { readonly type: "asking" }
  | { readonly type: "joined"; readonly joined: Joined; readonly at: Date }
  | { readonly type: "conversation refused"; readonly conversation: string; readonly reason: string }
  | { readonly type: "category"; readonly name: string; readonly on: boolean }
  | { readonly type: "category refused"; readonly name: string; readonly reason: string }
  | { readonly type: "delivered"; readonly delivered: Delivered; readonly at: Date }
  | { readonly type: "notice"; readonly title: string; readonly text: string }
  | { readonly type: "dismiss"; readonly id: number }
  | { readonly type: "clear" }
  | { readonly type: "pause"; readonly on: boolean };

export function update(model: Model, event: Event): Model {
  switch (event.type) {
    case "link":
      return linkChanged(model, event.state, event.note ?? "");
    case "asking":
      return { ...model, seenAtAsk: model.seen };
    case "joined":
      return joined(model, event.joined, event.at);
    case "conversation refused":
      return conversationRefused(model, event.conversation, event.reason);
    case "category":
      return { ...model, categories: switchCategory(model.categories, event.name, event.on) };
    case "category refused":
      return categoryRefused(model, event.name, event.reason);
    case "delivered":
      return delivered(model, event.delivered, event.at);
    case "notice":
      return { ...model, notices: addNotice(model.notices, event.title, event.text) };
    case "dismiss":
      return { ...model, notices: dismissNotice(model.notices, event.id) };
    case "clear":
      return { ...model, timeline: clearEntries(model.timeline), pausedAt: null };
    case "pause":
      return { ...model, pausedAt: event.on ? model.timeline : null };
  }
}

/** The timeline to draw: the one of the moment of pausing, or the running one. */
export function shownTimeline(model: Model): Timeline {
  return model.pausedAt ?? model.timeline;
}

/** How many came in since the pause. */
export function heldBack(model: Model): number {
  return model.pausedAt === null ? 0 : model.timeline.added - model.pausedAt.added;
}

function linkChanged(model: Model, state: LinkState, note: string): Model {
  // A connection that is being made starts with a clean list of refusals.
  const notices = state === "connecting" ? { ...model.notices, list: [] } : model.notices;
  return { ...model, link: { state, note }, notices };
}

function joined(model: Model, answer: Joined, at: Date): Model {
  const base = answer.conversation === model.conversation ? model : openConversation(model, answer.conversation);
  const isOther = base.epoch !== null && answer.epoch !== null && base.epoch !== answer.epoch;
  const seen = isOther || startedOver(base.seenAtAsk, answer.snapshot.upTo) ? noSequences : base.seen;
  const start: Model = { ...base, seen, epoch: answer.epoch, categories: mergeCategories(base.categories, answer.categories) };
  // The first answer is drawn whole: it is what makes the page full at once.
  const wanted = answer.snapshot.statuses.filter(
    ({ status }) => base !== model || isOn(start.categories, status.category),
  );
  return wanted.reduce((now, one) => draw(now, one, at), start);
}

function openConversation(model: Model, conversation: string): Model {
  return {
    ...emptyModel,
    link: model.link,
    notices: model.notices,
    conversation,
    timeline: clearEntries(model.timeline),
  };
}

function conversationRefused(model: Model, conversation: string, reason: string): Model {
  const notices = addNotice(model.notices, `Conversation “${conversation}” refused`, reason);
  return { ...openConversation(model, conversation), conversation: null, notices };
}

function categoryRefused(model: Model, name: string, reason: string): Model {
  return {
    ...model,
    categories: refuseCategory(model.categories, name, reason),
    notices: addNotice(model.notices, "Subscription refused", reason, name),
  };
}

function delivered(model: Model, one: Delivered, at: Date): Model {
  if (isDouble(model.seen, one.subject, one.seq)) return { ...model, doubles: model.doubles + 1 };
  return draw(model, one, at);
}

function draw(model: Model, one: Delivered, at: Date): Model {
  if (isDouble(model.seen, one.subject, one.seq)) return model;
  const timeline = addEntry(model.timeline, one, at);
  const entry = timeline.entries[0];
  const { category } = one.status;
  return {
    ...model,
    timeline,
    latest: entry ? new Map(model.latest).set(category, entry) : model.latest,
    categories: countCategory(model.categories, category),
    seen: remember(model.seen, one.subject, one.seq),
  };
}
