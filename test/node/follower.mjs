// A browser as a process: an unmodified client that subscribes and prints one line
// of JSON for whatever it hears. It ends when its input does.
import { clients } from "./clients.mjs";

const { servers, token, client, name, subjects, pingInterval } = JSON.parse(process.argv[2]);
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const nc = await clients
  .find((c) => c.name === client)
  .connect({ servers, token, name, timeout: 3_000, pingInterval, maxPingOut: 1, reconnectTimeWait: 50, reconnectJitter: 50, maxReconnectAttempts: -1 });
for (const subject of subjects) {
  nc.subscribe(subject, {
    callback: (error, m) => {
      if (error) return print({ error: error.message });
      print({
        on: subject,
        subject: m.subject,
        sequence: Number(m.headers.get("Nats-Sequence")),
        text: m.json().text,
        truncated: m.headers.get("Status-Truncated") || undefined,
      });
    },
  });
}
await nc.flush();
print({ event: "listening" });
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
for await (const status of nc.status()) {
  if (status.type === "disconnect") print({ event: status.type });
  if (status.type !== "reconnect") continue;
  print({ event: "connect" });
  // Once its SUBs have taken effect: what is published from then on is heard. A
  // connection that is cut before says so itself.
  nc.flush().then(() => print({ event: status.type }), () => {});
}
