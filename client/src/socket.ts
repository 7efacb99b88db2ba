// The WebSocket as nats-core sees it. Between the two stands this, for two
// reasons: it tells why the socket has closed, which nats-core does not hand on;
// and closing it is final at once. The close of a dead network's socket would
// take the browser up to half a minute, and nobody could reconnect meanwhile.

/** How a socket has ended. */
export interface Ended {
  readonly code: number;
  readonly reason: string;
}

/** Not clean: no close frame came. RFC 6455, section 7.4.1. */
const abnormal = 1006;

/** What nats-core uses of a WebSocket. */
export class Socket {
  readonly #socket: WebSocket;
  #ended: Ended | undefined;
  #opened = false;

  /** Nothing is known to wait: nats-core would not close before it is written. */
  readonly bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  onclose: ((event: { wasClean: boolean; code: number; reason: string }) => void) | null = null;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#opened = true;
      this.onopen?.();
    };
    socket.onmessage = ({ data }: MessageEvent<unknown>) => this.onmessage?.({ data });
    // After an error a close follows, in browsers as in Node's `ws`.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }: CloseEvent) => this.#end({ code, reason });
  }

  /** nats-core sets it; it has been so from the beginning. */
  set binaryType(_: string) {}

  get opened(): boolean {
    return this.#opened;
  }

  /** How it ended; undefined while it lives. */
  get ended(): Ended | undefined {
    return this.#ended;
  }

  send(data: ArrayBuffer): void {
    this.#socket.send(data);
  }

  close(): void {
    if (this.#ended === undefined) this.abandon("closed by the client");
  }

  /** Ends it without waiting for the other side. */
  abandon(reason: string): void {
    this.#end({ code: abnormal, reason });
    try {
      this.#socket.close();
    } catch {
      // It was not even open.
    }
  }

  #end(ended: Ended): void {
    if (this.#ended !== undefined) return;
    this.#ended = ended;
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Both, as a browser does: nats-core gives up a login by the first, and a
    // socket that it has closed itself by the second.
    this.onerror?.({ message: ended.reason });
    this.onclose?.({ wasClean: true, ...ended });
  }
}
