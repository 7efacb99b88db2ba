// A switch for each category: on is a subscription, off is none.

import type { Category } from "../categories.ts";
import type { Model } from "../model.ts";
import { makeBadge } from "./badge.ts";
import { find, make, setText } from "./dom.ts";

type OnSwitch = (name: string, on: boolean) => void;

interface Row {
  readonly item: HTMLElement;
  readonly update: (category: Category, live: boolean) => void;
}

export function makeSwitchesView(onSwitch: OnSwitch): (model: Model) => void {
  const list = find("categories", HTMLElement);
  const empty = find("categories-empty", HTMLElement);
  const summary = find("categories-summary", HTMLElement);
  const rows = new Map<string, Row>();
  return ({ categories, link }) => {
    const names = new Set(categories.map((category) => category.name));
    for (const [name, row] of rows) {
      if (names.has(name)) continue;
      row.item.remove();
      rows.delete(name);
    }
    for (const category of categories) {
      const row = rows.get(category.name) ?? makeRow(category.name, onSwitch);
      if (!rows.has(category.name)) list.append(row.item);
      rows.set(category.name, row);
      row.update(category, link.state === "live" || link.state === "reconnecting");
    }
    const on = categories.filter((category) => category.state === "on").length;
    setText(summary, categories.length > 0 ? `${on} of ${categories.length} on` : "");
    empty.hidden = categories.length > 0;
  };
}

function makeRow(name: string, onSwitch: OnSwitch): Row {
  const input = make("input", "switch");
  input.type = "checkbox";
  input.setAttribute("role", "switch");
  input.addEventListener("change", () => onSwitch(name, input.checked));
  const count = make("span", "count");
  const reason = make("span", "reason");
  reason.id = `reason-${name}`;
  input.setAttribute("aria-describedby", reason.id);
  const label = make("label", "switch-label", input, makeBadge(name), count);
  const update = (category: Category, live: boolean): void => {
    input.checked = category.state === "on";
    input.disabled = !live;
    setText(count, category.count > 0 ? category.count.toLocaleString() : "");
    count.title = `${category.count} received`;
    setText(reason, category.state === "refused" ? `Refused: ${category.reason}` : "");
    reason.hidden = category.state !== "refused";
  };
  return { item: make("li", "", label, reason), update };
}
