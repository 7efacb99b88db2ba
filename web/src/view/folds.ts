// On a narrow screen a working connection folds its controls away and makes
// room for what it brings; a closed one brings them back.

import type { LinkState, Model } from "../model.ts";
import { find } from "./dom.ts";

export function makeFoldsView(): (model: Model) => void {
  const cards = ["form-card", "categories-card"].map((id) => find(id, HTMLDetailsElement));
  const narrow = matchMedia("(max-width: 860px)");
  let drawn: LinkState = "idle";
  return ({ link }) => {
    if (link.state === drawn) return;
    drawn = link.state;
    if (drawn !== "live" && drawn !== "closed") return;
    for (const card of cards) {
      if (drawn === "closed" || !narrow.matches) card.open = true;
      else fold(card);
    }
  };
}

/** Folds a card; a focus inside moves to what unfolds it again. */
function fold(card: HTMLDetailsElement): void {
  const hadFocus = card.contains(document.activeElement);
  card.open = false;
  if (hadFocus) card.querySelector("summary")?.focus();
}
