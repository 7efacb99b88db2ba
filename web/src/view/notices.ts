// Refusals and errors, in words, until they are dismissed.

import type { Model } from "../model.ts";
import type { Notice } from "../notices.ts";
import { find, foreign, make, setText } from "./dom.ts";

interface Row {
  readonly item: HTMLElement;
  readonly update: (notice: Notice) => void;
}

export function makeNoticesView(onDismiss: (id: number) => void): (model: Model) => void {
  const list = find("notices", HTMLElement);
  const rows = new Map<number, Row>();
  return ({ notices }) => {
    const shown = new Set(notices.list.map((notice) => notice.id));
    for (const [id, row] of rows) {
      if (shown.has(id)) continue;
      row.item.remove();
      rows.delete(id);
    }
    for (const notice of [...notices.list].reverse()) {
      const row = rows.get(notice.id) ?? makeRow(notice, onDismiss);
      if (!rows.has(notice.id)) list.prepend(row.item);
      rows.set(notice.id, row);
      row.update(notice);
    }
  };
}

function makeRow(notice: Notice, onDismiss: (id: number) => void): Row {
  const categories = make("p", "quiet");
  const close = make("button", "small", "Dismiss");
  close.type = "button";
  close.setAttribute("aria-label", `Dismiss: ${notice.title}`);
  close.addEventListener("click", () => onDismiss(notice.id));
  const words = make("div", "", make("p", "notice-title", foreign(notice.title)), make("p", "", foreign(notice.text)), categories);
  const update = ({ categories: names }: Notice): void => {
    setText(categories, names.length > 0 ? `Categories: ${names.join(", ")}` : "");
    categories.hidden = names.length === 0;
  };
  return { item: make("li", "notice", words, close), update };
}
