// Whether the server answers plain HTTP. A browser does not tell a page why a
// WebSocket failed; this tells a silent server from one that refused.

import type { Reach } from "./refusal.ts";

export async function askReach(page: string): Promise<Reach> {
  try {
    const answer = await fetch(new URL("readyz", page), { cache: "no-store" });
    return answer.status === 503 || answer.status === 429 ? "busy" : "answers";
  } catch {
    return "silent";
  }
}
