// Refusals and other news about the connection, newest first and bounded.

export interface Notice {
  readonly id: number;
  /** What it is about, "Subscription refused". */
  readonly title: string;
  /** The reason, in words. */
  readonly text: string;
  /** The categories hit, when it is about subscriptions. */
  readonly categories: readonly string[];
}

export interface Notices {
  readonly list: readonly Notice[];
  readonly added: number;
}

export const noticeLimit = 5;

export const noNotices: Notices = { list: [], added: 0 };

/**
 * Adds a notice. One that says the same as a notice still shown joins it, so
 * that six refusals for one reason are one notice with six categories.
 */
export function addNotice(notices: Notices, title: string, text: string, category?: string): Notices {
  const same = notices.list.find((notice) => notice.title === title && notice.text === text);
  const categories = new Set(same?.categories);
  if (category !== undefined) categories.add(category);
  const id = same?.id ?? notices.added + 1;
  const rest = notices.list.filter((notice) => notice !== same);
  return {
    list: [{ id, title, text, categories: [...categories] }, ...rest].slice(0, noticeLimit),
    added: Math.max(notices.added, id),
  };
}

export function dismissNotice(notices: Notices, id: number): Notices {
  return { ...notices, list: notices.list.filter((notice) => notice.id !== id) };
}
