// A category's mark: its icon, its colour and always its name, so that the
// colour never carries the meaning alone.

import { make } from "./dom.ts";

const svgNamespace = "http://www.w3.org/2000/svg";

// 16 by 16, stroked.
const icons: Readonly<Record<string, string>> = {
  engine: "M5 5h6v6H5zM6.5 2v3M9.5 2v3M6.5 11v3M9.5 11v3M2 6.5h3M2 9.5h3M11 6.5h3M11 9.5h3",
  tool: "M13.5 4.5a3.5 3.5 0 0 1-4.7 3.3L4.3 12.3a1.4 1.4 0 0 1-2-2l4.5-4.5A3.5 3.5 0 0 1 11.5 2.5L9.5 4.5l2 2z",
  workflow: "M2 3h4v4H2zM10 9h4v4h-4zM6 5h3.5a2.5 2.5 0 0 1 2.5 2.5V9",
  progress: "M2 12.5h12M3 9.5l3-3 2.5 2L13 4M10 4h3v3",
  error: "M8 2.5L14 13H2zM8 6.5v3M8 11.3v.1",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 7.5v3.5M8 5v.1",
};
const otherIcon = "M3 3h5l5.5 5.5-5 5L3 8zM5.8 5.8v.1";
const otherHues = 6;

/** The class that gives an element the category's colours. */
export function hueClass(category: string): string {
  return Object.hasOwn(icons, category) ? `hue-${category}` : `hue-other-${hash(category) % otherHues}`;
}

export function makeIcon(category: string): SVGSVGElement {
  const svg = document.createElementNS(svgNamespace, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svgNamespace, "path");
  path.setAttribute("d", (Object.hasOwn(icons, category) ? icons[category] : undefined) ?? otherIcon);
  svg.append(path);
  return svg;
}

export function makeBadge(category: string): HTMLElement {
  return make("span", `badge ${hueClass(category)}`, makeIcon(category), make("span", "", category));
}

function hash(text: string): number {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (sum * 31 + text.charCodeAt(i)) >>> 0;
  return sum;
}
