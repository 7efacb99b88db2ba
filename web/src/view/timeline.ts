// What arrived, newest first. A list of role log: a screen reader reads what is
// added. Only what changed is touched, and never more nodes than the bound.

import { heldBack, type Model, shownTimeline } from "../model.ts";
import { detailsOf, progressOf, shorten, type Status } from "../status.ts";
import { type Entry, timelineLimit } from "../timeline.ts";
import { hueClass, makeBadge } from "./badge.ts";
import { find, foreign, make, setText } from "./dom.ts";
import { makeProgress } from "./progress.ts";
import { makeTime } from "./time.ts";

const textLimit = 2_000;
const detailLimit = 6;
const litUpTogether = 3;

export interface TimelineActions {
  readonly onPause: (on: boolean) => void;
  readonly onClear: () => void;
}

export function makeTimelineView({ onPause, onClear }: TimelineActions): (model: Model) => void {
  const list = find("timeline", HTMLOListElement);
  const pause = find("pause", HTMLButtonElement);
  const clear = find("clear", HTMLButtonElement);
  const empty = find("timeline-empty", HTMLElement);
  const foot = find("timeline-foot", HTMLElement);
  const drawn = new Map<number, HTMLElement>();
  pause.addEventListener("click", () => onPause(pause.getAttribute("aria-pressed") !== "true"));
  clear.addEventListener("click", onClear);
  return (model) => {
    drawEntries(list, drawn, shownTimeline(model).entries);
    const held = heldBack(model);
    pause.setAttribute("aria-pressed", String(model.pausedAt !== null));
    setText(pause, model.pausedAt === null ? "Pause" : held > 0 ? `Resume (${held} new)` : "Resume");
    setText(empty, drawn.size > 0 ? "" : emptyWords(model));
    empty.hidden = drawn.size > 0;
    list.hidden = drawn.size === 0;
    setText(foot, footWords(model));
  };
}

function drawEntries(list: HTMLElement, drawn: Map<number, HTMLElement>, entries: readonly Entry[]): void {
  const kept = new Set(entries.map((entry) => entry.id));
  for (const [id, element] of drawn) {
    if (kept.has(id)) continue;
    element.remove();
    drawn.delete(id);
  }
  const fresh = entries.filter((entry) => !drawn.has(entry.id));
  for (const entry of fresh) {
    const item = makeItem(entry);
    // A flood is not lit up one by one: it would cost more than the rest.
    item.classList.toggle("is-new", fresh.length <= litUpTogether);
    drawn.set(entry.id, item);
  }
  list.prepend(...fresh.flatMap((entry) => drawn.get(entry.id) ?? []));
}

function makeItem({ delivered: { status }, arrived }: Entry): HTMLElement {
  const body = make("div", "entry-body", make("p", "entry-text", ...priority(status), foreign(shorten(status.text, textLimit))));
  const progress = progressOf(status);
  if (progress) body.append(makeProgress(progress));
  const details = detailsOf(status, detailLimit);
  if (details.length > 0) body.append(makeDetails(details));
  const head = make("div", "entry-head", makeTime(status.timestamp ?? arrived), makeBadge(status.category));
  return make("li", `entry ${hueClass(status.category)}`, head, body);
}

function priority(status: Status): HTMLElement[] {
  return status.priority === "normal" ? [] : [make("span", `priority is-${status.priority}`, status.priority), make("span", "", " ")];
}

function makeDetails(details: readonly (readonly [string, string])[]): HTMLElement {
  const list = make("dl", "details");
  for (const [key, value] of details) {
    list.append(make("div", "", make("dt", "", foreign(key)), make("dd", "", foreign(value))));
  }
  return list;
}

function emptyWords({ link, conversation }: Model): string {
  if (link.state === "connecting") return "Connecting…";
  if (conversation !== null) return "Waiting for the next status.";
  return "Statuses appear here the moment they are published.";
}

function footWords({ categories, doubles, seen }: Model): string {
  const received = categories.reduce((sum, { count }) => sum + count, 0);
  if (received === 0) return "";
  const newest = Math.max(0, ...seen.values());
  return [
    `${received.toLocaleString()} received`,
    ...(newest > 0 ? [`newest sequence ${newest.toLocaleString()}`] : []),
    ...(doubles > 0 ? [`${doubles.toLocaleString()} doubles dropped`] : []),
    `the latest ${timelineLimit} are shown`,
  ].join(" · ");
}
