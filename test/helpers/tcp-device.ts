import net from 'node:net';

/** One TCP connection as a device holds it: sends bytes, collects what comes back. */
export class TcpDevice {
  received = Buffer.alloc(0);
  /** The server closed its side, or the connection is gone. */
  ended = false;
  readonly #socket: net.Socket;
  #changed: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#changed();
    });
    for (const event of ['end', 'close', 'error'])
      socket.on(event, () => {
        this.ended = true;
        this.#changed();
      });
  }

  /** `localAddress`: of the device, one of 127.0.0.0/8. */
  static connect(port: number, localAddress = '127.0.0.1'): Promise<TcpDevice> {
    return new Promise((resolve, reject) => {
      const options = { port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true };
      const socket = net.connect(options, () => resolve(new TcpDevice(socket)));
      socket.once('error', reject);
    });
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Closes the sending side only. */
  half(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Waits until `done`; the test's own timeout bounds it. */
  async until(done: (device: TcpDevice) => boolean): Promise<void> {
    while (!done(this))
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
  }
}
