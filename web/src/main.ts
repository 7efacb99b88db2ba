// Wires the page: form → connection → events → model → views.

import { webSocketUrl } from "./address.ts";
import { Connection } from "./connection.ts";
import { loadDemoUsers } from "./demo.ts";
import { emptyModel, type Event, type Model, update } from "./model.ts";
import { askReach } from "./reach.ts";
import { makeBoardView } from "./view/board.ts";
import { makeFoldsView } from "./view/folds.ts";
import { makeFormView, type Wish } from "./view/form.ts";
import { makeLinkView } from "./view/link.ts";
import { makeNoticesView } from "./view/notices.ts";
import { drawPublish } from "./view/publish.ts";
import { makeSwitchesView } from "./view/switches.ts";
import { makeTimelineView } from "./view/timeline.ts";

/** A flood of statuses is drawn ten times a second, not with every frame. */
const drawPauseMillis = 100;

let model: Model = emptyModel;
let connection: Connection | null = null;
let connectedToken = "";
let drawing = false;
let lastDraw = 0;

const board = makeBoardView();
const form = makeFormView({ onWatch: (wish) => void watch(wish), onDisconnect: () => void disconnect() });
const views: readonly ((model: Model) => void)[] = [
  makeLinkView(),
  form.draw,
  makeFoldsView(),
  makeSwitchesView((name, on) => void connection?.switch(name, on)),
  makeNoticesView((id) => emit({ type: "dismiss", id })),
  board.draw,
  drawPublish,
  makeTimelineView({
    onPause: (on) => emit({ type: "pause", on }),
    onClear: () => emit({ type: "clear" }),
  }),
];

function emit(event: Event): void {
  const before = model.link.state;
  model = update(model, event);
  scheduleDraw();
  const gaveUp = before === "reconnecting" && model.link.state === "closed" && connection !== null;
  if (gaveUp && form.isDemo()) void renew();
}

/** Draws with the next frame, but not more often than the eye needs. */
function scheduleDraw(): void {
  if (drawing) return;
  drawing = true;
  const wait = Math.max(0, lastDraw + drawPauseMillis - performance.now());
  setTimeout(() => requestAnimationFrame(drawAll), wait);
}

function drawAll(now: number): void {
  drawing = false;
  lastDraw = now;
  for (const draw of views) draw(model);
}

async function watch({ token, conversation }: Wish): Promise<void> {
  const usable = connection !== null && token === connectedToken && model.link.state === "live";
  const current = usable ? connection : await connect(token);
  await current?.watch(conversation);
}

async function connect(token: string): Promise<Connection | null> {
  await connection?.close();
  const opened = new Connection({ url: webSocketUrl(location.href), token, emit, reach: () => askReach(location.href) });
  connection = opened;
  connectedToken = token;
  return (await opened.open()) ? opened : null;
}

async function disconnect(): Promise<void> {
  await connection?.close();
  connection = null;
  emit({ type: "link", state: "closed" });
}

/** A demo's token has expired, or its server was set up anew: fetch fresh ones. */
async function renew(): Promise<void> {
  form.offer(await loadDemoUsers(location.href));
  if (form.isDemo()) form.submit();
}

async function start(): Promise<void> {
  const users = await loadDemoUsers(location.href);
  form.offer(users);
  if (users[0]?.conversations[0] !== undefined) form.submit();
}

scheduleDraw();
setInterval(() => board.tick(new Date()), 1_000);
void start();
