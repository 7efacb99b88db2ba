// Who connects and what they watch. The token stays in the memory of this page:
// never in the URL, where logs and histories would keep it, and not in
// sessionStorage either, where it would outlive the connection for nothing: a
// reload asks again, or fetches a fresh one where there is a demo.

import type { DemoUser } from "../demo.ts";
import type { Model } from "../model.ts";
import { find, make, setText } from "./dom.ts";

export interface Wish {
  readonly token: string;
  readonly conversation: string;
}

export interface FormActions {
  readonly onWatch: (wish: Wish) => void;
  readonly onDisconnect: () => void;
}

export interface FormView {
  readonly draw: (model: Model) => void;
  /** Offers the demo's users beside the free token field; a choice made stays. */
  readonly offer: (users: readonly DemoUser[]) => void;
  /** Whether one of the demo's users is chosen. */
  readonly isDemo: () => boolean;
  /** As if the button had been pressed. */
  readonly submit: () => void;
}

const ownToken = "";

export function makeFormView({ onWatch, onDisconnect }: FormActions): FormView {
  const form = find("form", HTMLFormElement);
  const user = find("user", HTMLSelectElement);
  const token = find("token", HTMLInputElement);
  const conversation = find("conversation", HTMLInputElement);
  const error = find("form-error", HTMLElement);
  const disconnect = find("disconnect", HTMLButtonElement);
  let users: readonly DemoUser[] = [];

  const chosen = (): DemoUser | undefined => users.find((one) => one.user === user.value);
  const chooseUser = (): void => {
    const demo = chosen();
    find("token-field", HTMLElement).hidden = demo !== undefined;
    const options = (demo?.conversations ?? []).map((id) => Object.assign(make("option", ""), { value: id }));
    find("conversations", HTMLDataListElement).replaceChildren(...options);
    const first = demo?.conversations[0] ?? users[0]?.conversations[0];
    if (conversation.value === "" && first !== undefined) conversation.value = first;
  };
  const submit = (): void => {
    const wish = { token: chosen()?.token ?? token.value.trim(), conversation: conversation.value.trim() };
    const complaint = complain(wish);
    setText(error, complaint);
    conversation.setAttribute("aria-invalid", String(complaint !== "" && wish.token !== ""));
    token.setAttribute("aria-invalid", String(wish.token === ""));
    if (complaint !== "") (wish.token === "" ? token : conversation).focus();
    else onWatch(wish);
  };

  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  user.addEventListener("change", chooseUser);
  disconnect.addEventListener("click", onDisconnect);

  let drawn: Model["link"] | null = null;
  const draw = ({ link, conversation: watched }: Model): void => {
    setText(find("form-summary", HTMLElement), [chosen()?.user, watched].filter(Boolean).join(" · "));
    disconnect.disabled = link.state === "idle" || link.state === "closed";
    if (link === drawn) return;
    drawn = link;
    if (link.note !== "" || link.state === "live") setText(error, link.note);
  };
  const offer = (offered: readonly DemoUser[]): void => {
    const before = user.value;
    users = offered;
    const own = Object.assign(make("option", "", "Another, by token"), { value: ownToken });
    user.replaceChildren(...users.map((one) => Object.assign(make("option", "", one.user), { value: one.user })), own);
    if (before !== ownToken && users.some((one) => one.user === before)) user.value = before;
    find("user-field", HTMLElement).hidden = users.length === 0;
    chooseUser();
  };
  return { draw, offer, isDemo: () => chosen() !== undefined, submit };
}

function complain({ token, conversation }: Wish): string {
  if (token === "") return "A token is needed to connect.";
  if (conversation === "") return "Which conversation? Its id is needed.";
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(conversation)) {
    return "A conversation id has 1 to 128 of the characters A-Z a-z 0-9 _ and -.";
  }
  return "";
}
