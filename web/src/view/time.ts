// Times as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function makeTime(at: Date): HTMLTimeElement {
  const element = document.createElement("time");
  element.dateTime = at.toISOString();
  element.title = full.format(at);
  element.textContent = clock.format(at);
  return element;
}

/** "just now", "12 s ago", "3 min ago", "2 h ago", "5 d ago". */
export function ageWords(at: Date, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - at.getTime()) / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} d ago`;
}
