// The bar for metadata.step of metadata.total_steps, with its words.

import type { Progress } from "../status.ts";
import { make } from "./dom.ts";

export function makeProgress({ step, total }: Progress): HTMLElement {
  const bar = document.createElement("progress");
  bar.max = total;
  bar.value = step;
  bar.setAttribute("aria-label", `Step ${step} of ${total}`);
  const words = make("span", "progress-words", `${step} of ${total}`);
  words.setAttribute("aria-hidden", "true");
  return make("div", "progress", bar, words);
}
