// A browser says when a page that slept, or was offline, may be awake again.

const windowEvents = ["online", "pageshow"];
const documentEvents = ["visibilitychange", "resume"];

/** Calls back when it is worth looking at the connection; answers what ends that. Does nothing outside of browsers. */
export function onWake(wake: () => void): () => void {
  const page = globalThis.document as Document | undefined;
  const check = (): void => {
    if (page?.visibilityState !== "hidden") wake();
  };
  const listen = (target: EventTarget | undefined, types: readonly string[], how: "addEventListener" | "removeEventListener"): void => {
    if (typeof target?.[how] === "function") for (const type of types) target[how](type, check);
  };
  const each = (how: "addEventListener" | "removeEventListener"): void => {
    listen(globalThis as unknown as EventTarget, windowEvents, how);
    listen(page, documentEvents, how);
  };
  each("addEventListener");
  return () => each("removeEventListener");
}
