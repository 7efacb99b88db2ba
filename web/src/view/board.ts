// The newest status of each category, side by side.

import type { Category } from "../categories.ts";
import type { Model } from "../model.ts";
import { detailsOf, progressOf, shorten } from "../status.ts";
import type { Entry } from "../timeline.ts";
import { hueClass, makeBadge } from "./badge.ts";
import { find, foreign, make, setText } from "./dom.ts";
import { makeProgress } from "./progress.ts";
import { ageWords } from "./time.ts";

const textLimit = 280;

interface Card {
  readonly element: HTMLElement;
  readonly update: (entry: Entry | undefined, state: Category["state"]) => void;
  readonly tick: (now: Date) => void;
}

export interface BoardView {
  readonly draw: (model: Model) => void;
  /** Once a second: how long ago things were. */
  readonly tick: (now: Date) => void;
}

export function makeBoardView(): BoardView {
  const board = find("board", HTMLElement);
  const section = find("now", HTMLElement);
  const where = find("where", HTMLElement);
  const cards = new Map<string, Card>();
  const draw = ({ categories, conversation, latest }: Model): void => {
    setText(where, conversation === null ? "" : `in ${conversation}`);
    const names = new Set(categories.map((category) => category.name));
    for (const [name, card] of cards) {
      if (names.has(name)) continue;
      card.element.remove();
      cards.delete(name);
    }
    for (const { name, state } of categories) {
      const card = cards.get(name) ?? makeCard(name);
      if (!cards.has(name)) board.append(card.element);
      cards.set(name, card);
      card.update(latest.get(name), state);
    }
    section.hidden = categories.length === 0;
  };
  const tick = (now: Date): void => {
    for (const card of cards.values()) card.tick(now);
  };
  return { draw, tick };
}

function makeCard(name: string): Card {
  const age = make("span", "age");
  const body = make("div", "tile-body");
  const element = make("article", `tile ${hueClass(name)}`, make("div", "tile-head", makeBadge(name), age), body);
  element.setAttribute("aria-label", name);
  let shown: Entry | undefined;
  let current: Category["state"] = "on";
  const tick = (now: Date): void => {
    const at = shown?.delivered.status.timestamp ?? shown?.arrived;
    setText(age, current !== "on" ? current : at ? ageWords(at, now) : "");
  };
  const update = (entry: Entry | undefined, state: Category["state"]): void => {
    current = state;
    element.classList.toggle("is-off", state !== "on");
    if (entry !== shown || body.childNodes.length === 0) {
      shown = entry;
      body.replaceChildren(...(entry ? describe(entry) : [make("p", "quiet", "Nothing yet")]));
    }
    tick(new Date());
  };
  return { element, update, tick };
}

function describe({ delivered: { status } }: Entry): HTMLElement[] {
  const text = make("p", "tile-text", foreign(shorten(status.text, textLimit)));
  const progress = progressOf(status);
  if (progress) return [text, makeProgress(progress)];
  const detail = detailsOf(status, 1)[0];
  return detail ? [text, make("p", "quiet one-line", foreign(detail.join(" ")))] : [text];
}
