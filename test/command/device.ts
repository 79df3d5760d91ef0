import net from 'node:net';
import { ascii, crc16Arc, putAscii, putU8, putU32be, u32be } from '../../src/base/wire/index.ts';
import { Random } from '../../src/simulate/random.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { moment, pause } from '../support/wait.ts';

/** A command as the device got it. */
export interface Got {
  readonly text: string;
  /** `performance.now()` of its arrival. */
  readonly arrived: number;
  /** The same of the answer; 0 before. */
  answered: number;
  /** Connection that it came on. */
  readonly connection: number;
}

/** A Teltonika device that obeys: it says who it is, takes commands in codec 12, replies after a while, and comes back when it is cut off. */
export class ObedientDevice {
  readonly imei: string;
  readonly got: Got[] = [];
  connections = 0;
  /** The server has accepted who it says it is. */
  greeted = false;
  /** How each connection ended, by its number: when, `performance.now()`, and whether the device had left by itself. */
  readonly ended = new Map<number, { readonly at: number; readonly left: boolean }>();
  readonly #port: number;
  readonly #replyMs: number;
  readonly #reply: (text: string) => string;
  #socket: net.Socket | undefined;
  /** Takes commands and says nothing. */
  mute = false;
  #stopped = false;
  readonly #random: Random;
  #busy = 0;

  constructor(port: number, imei: string, reply: (text: string) => string, replyMs = 0) {
    this.#port = port;
    this.imei = imei;
    this.#reply = reply;
    this.#replyMs = replyMs;
    this.#random = new Random(Number(imei.slice(-6)));
    this.#connect();
  }

  /** Sends a position of now; the answer of the server is dropped. */
  report(speedKmh: number): void {
    this.#socket?.write(packet(Date.now(), speedKmh));
  }

  /** Leaves properly, between two commands, and comes back. */
  reconnect(): void {
    if (this.#busy === 0) this.#socket?.end();
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.destroy();
  }

  #connect(): void {
    const connection = ++this.connections;
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true }, () => socket.write(handshake(this.imei)));
    this.#socket = socket;
    let held = Buffer.alloc(0);
    this.greeted = false;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      if (!this.greeted && held.length > 0) {
        this.greeted = true;
        held = held.subarray(1);
      }
      // Answers to positions: a count of records.
      while (held.length >= 4 && u32be(held, 0) !== 0) held = held.subarray(4);
      for (let size = frameSize(held); size > 0 && held.length >= size; size = frameSize(held)) {
        this.#take(ascii(held, 15, size - 5), connection, socket);
        held = held.subarray(size);
      }
    });
    let left = false;
    socket.once('finish', () => {
      left = true;
    });
    socket.once('close', () => {
      this.ended.set(connection, { at: performance.now(), left });
      this.#busy = 0;
      if (!this.#stopped) void moment(this.#random, 50, 150).then(() => this.#connect());
    });
  }

  #take(text: string, connection: number, socket: net.Socket): void {
    const got: Got = { text, arrived: performance.now(), answered: 0, connection };
    this.got.push(got);
    this.#busy++;
    void pause(this.#replyMs).then(() => {
      // After its own goodbye a device says nothing more.
      if (socket.destroyed || socket.writableEnded || this.mute) return;
      got.answered = performance.now();
      socket.write(replyOf(this.#reply(text)));
      this.#busy--;
    });
  }
}

/** Of a codec 12 packet at the start; 0 while that cannot be told. */
function frameSize(bytes: Uint8Array): number {
  return bytes.length < 8 ? 0 : 12 + u32be(bytes, 4);
}

/** Codec 12, type 6 (codecs/teltonika/protocol.md section 6). */
function replyOf(text: string): Uint8Array {
  const out = new Uint8Array(20 + text.length);
  let p = putU32be(out, 4, 8 + text.length);
  p = putU8(out, p, 0x0c);
  p = putU8(out, p, 1);
  p = putU8(out, p, 6);
  p = putU32be(out, p, text.length);
  p = putAscii(out, p, text);
  p = putU8(out, p, 1);
  putU32be(out, p, crc16Arc(out, 8, p));
  return out;
}
