// The demo's users. `statuswire serve --demo` hands them out at demo.json, on
// loopback only; any other server answers 404, and the page asks for a token.

import { isRecord } from "./status.ts";

export interface DemoUser {
  readonly user: string;
  readonly token: string;
  readonly conversations: readonly string[];
}

/** The demo's users, or none where there is no demo. */
export async function loadDemoUsers(page: string): Promise<readonly DemoUser[]> {
  try {
    const answer = await fetch(new URL("demo.json", page), { cache: "no-store" });
    return answer.ok ? parseDemoUsers(await answer.json()) : [];
  } catch {
    return [];
  }
}

export function parseDemoUsers(value: unknown): readonly DemoUser[] {
  const users = isRecord(value) ? value["users"] : undefined;
  return Array.isArray(users) ? users.flatMap(parseDemoUser) : [];
}

function parseDemoUser(value: unknown): DemoUser[] {
  if (!isRecord(value)) return [];
  const { user, token, conversations } = value;
  if (typeof user !== "string" || typeof token !== "string") return [];
  const list = Array.isArray(conversations) ? conversations.filter((id) => typeof id === "string") : [];
  return [{ user, token, conversations: list }];
}
