// The state of the connection, in words, in the bar and in the title.

import type { LinkState, Model } from "../model.ts";
import { find, setText } from "./dom.ts";

const words: Readonly<Record<LinkState, string>> = {
  idle: "Not connected",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  closed: "Closed",
};

export function makeLinkView(): (model: Model) => void {
  const pill = find("link", HTMLElement);
  const text = find("link-text", HTMLElement);
  return ({ link, conversation }) => {
    pill.dataset["state"] = link.state;
    setText(text, words[link.state]);
    const title = conversation === null ? "Statuswire" : `${conversation} · Statuswire`;
    if (document.title !== title) document.title = title;
  };
}
