// How to publish a status into the conversation that is watched.

import type { Model } from "../model.ts";
import { find, setText } from "./dom.ts";

export function drawPublish({ conversation }: Model): void {
  find("publish", HTMLElement).hidden = conversation === null;
  const command = `XDG_CONFIG_HOME=data nats --context service pub status.${conversation}.info '{"text":"hello"}'`;
  setText(find("publish-command", HTMLElement), command);
}
