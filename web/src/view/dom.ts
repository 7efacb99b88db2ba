// The few words of DOM that the views share. Text only ever enters the page as
// text: there is no way to hand these functions markup.

type Child = Node | string;

/** Finds an element of index.html; a missing one is a mistake of ours. */
export function find<T extends Element>(id: string, kind: abstract new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Sets a text only where it differs, so that nothing is announced twice. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A text from a stranger: on its own for the bidirectional algorithm. */
export function foreign(text: string): HTMLElement {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}
