// The categories of the conversation and what the page has asked for.

export interface Category {
  readonly name: string;
  /** on: subscribed. refused: the server ended or never began the subscription. */
  readonly state: "on" | "off" | "refused";
  /** Why it was refused; empty otherwise. */
  readonly reason: string;
  /** Statuses drawn since the conversation was opened. */
  readonly count: number;
}

/** The list after a join: what was there keeps its state, what is new is off. */
export function mergeCategories(known: readonly Category[], names: readonly string[]): readonly Category[] {
  return [...new Set(names)].map(
    (name) => known.find((category) => category.name === name) ?? { name, state: "off", reason: "", count: 0 },
  );
}

export function switchCategory(known: readonly Category[], name: string, on: boolean): readonly Category[] {
  return change(known, name, (category) => ({ ...category, state: on ? "on" : "off", reason: "" }));
}

export function refuseCategory(known: readonly Category[], name: string, reason: string): readonly Category[] {
  return change(known, name, (category) => ({ ...category, state: "refused", reason }));
}

export function countCategory(known: readonly Category[], name: string): readonly Category[] {
  return change(known, name, (category) => ({ ...category, count: category.count + 1 }));
}

export function isOn(known: readonly Category[], name: string): boolean {
  return known.some((category) => category.name === name && category.state === "on");
}

function change(
  known: readonly Category[],
  name: string,
  how: (category: Category) => Category,
): readonly Category[] {
  return known.map((category) => (category.name === name ? how(category) : category));
}
