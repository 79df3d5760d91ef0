import type { Transport } from '../codec/index.ts';
import { type Bytes, hex } from '../wire/index.ts';
import { type Address, type Line, openLine } from './line.ts';
import type { Random } from './random.ts';
import { type Expectation, type Fix, More, type Packet, Refused, type Speaker } from './speaker.ts';
import type { Tally } from './tally.ts';
import type { Track } from './track.ts';

/**
 * One simulated device: it samples its track, sends, waits for answers, and sends again what was not answered.
 *
 * 1. Every byte that comes back is matched against the answer that the protocol document prescribes for what was sent,
 *    in order. Anything else is a wrong answer.
 * 2. A fix counts as acknowledged when its packet was answered or, where the protocol has no answer for it, when a
 *    message sent behind it on the same connection (in the same datagram) was: the server answers in order, so that
 *    answer cannot leave before everything ahead of it is durable.
 * 3. What was not acknowledged when a connection is lost is sent again on the next one, before anything newer, with the
 *    same record bytes. A datagram that is not answered is sent again from a new port, so that a late answer to
 *    the first copy cannot pass for one to the second.
 * 4. Memory is bounded: a device that cannot get rid of its packets stops sampling.
 */
export interface DeviceHost {
  /** Epoch ms, and monotonic ms. */
  now(): number;
  elapsed(): number;
  acknowledged(device: string, fix: Fix): void;
  wrongAnswer(device: string, transport: Transport, expected: string, got: string): void;
  failed(code: string): void;
  readonly timeoutMs: number;
}

/** Packets kept until they can be sent. */
const MAX_QUEUE = 1000;
/** Packets sent without an answer of their own before a proof is asked for, and the longest that one is put off. */
const PROVE_AFTER = 5;
const PROVE_MS = 5000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5000;
const SHOWN_BYTES = 64;
const NOTHING = new Uint8Array(0);

/** Something on its way: a packet, or a message that only asks for an answer. */
interface Sent {
  readonly packet: Packet | undefined;
  readonly expected: Expectation | undefined;
  readonly allowed: Expectation | undefined;
  readonly at: number;
}

const State = { Off: 0, Opening: 1, Greeting: 2, Ready: 3, Closed: 4 } as const;
type State = (typeof State)[keyof typeof State];

export class Device {
  readonly #speaker: Speaker;
  readonly #transport: Transport;
  readonly #to: Address;
  readonly #track: Track;
  readonly #random: Random;
  readonly #tally: Tally;
  readonly #host: DeviceHost;
  #state: State = State.Off;
  #line: Line | undefined;
  #queue: Packet[] = [];
  /** In the order of sending. */
  #sent: Sent[] = [];
  /** Entries of `#sent` that must be answered. */
  #awaited = 0;
  /** Bytes of an answer that has not all arrived. */
  #carry: Bytes = NOTHING;
  #backoffMs = FIRST_BACKOFF_MS;
  /** Monotonic ms: when to connect, or when the connection or its greeting was begun. */
  #since = 0;
  #finishing = false;

  constructor(speaker: Speaker, transport: Transport, to: Address, track: Track, random: Random, tally: Tally, host: DeviceHost) {
    this.#speaker = speaker;
    this.#transport = transport;
    this.#to = to;
    this.#track = track;
    this.#random = random;
    this.#tally = tally;
    this.#host = host;
    tally.devices++;
  }

  /** Nothing is left to send or to hear of. */
  get settled(): boolean {
    return this.#queue.length === 0 && this.#sent.length === 0;
  }

  /** Reads the position `count` times, evenly up to now over `overMs`, and sends it. */
  sample(count: number, overMs: number): void {
    if (this.#queue.length >= MAX_QUEUE) return;
    const now = this.#host.now();
    const samples = Array.from({ length: count }, (_, k) => this.#track.at(now - (overMs * (count - 1 - k)) / count));
    this.#queue.push(...this.#speaker.packets(samples));
    this.#pump();
  }

  /** Called every tenth of a second or so: connects when it is time, and loses patience. */
  check(): void {
    const elapsed = this.#host.elapsed();
    if (this.#state === State.Off) {
      if (elapsed >= this.#since && !(this.#finishing && this.settled)) this.#open(elapsed);
      return;
    }
    const waitingSince = this.#waitingSince();
    if (elapsed - waitingSince > this.#host.timeoutMs) {
      this.#tally.timeouts++;
      this.#line?.close();
      this.#lost(this.#state !== State.Opening && this.#transport === 'tcp', this.#state === State.Opening ? 'ETIMEDOUT' : '');
    } else this.#pump();
  }

  /** No new samples come: what is under way is brought to its end. */
  finish(): void {
    this.#finishing = true;
    this.#pump();
  }

  close(): void {
    if (this.#state === State.Ready) this.#tally.connected--;
    this.#state = State.Closed;
    this.#line?.close();
    for (const packet of this.#queue) if (packet.tries === 0) this.#tally.unsent += packet.fixes.length;
  }

  #open(elapsed: number): void {
    this.#state = State.Opening;
    this.#since = elapsed;
    this.#carry = NOTHING;
    this.#line = openLine(this.#transport, this.#to, {
      opened: () => this.#opened(),
      data: (bytes) => (this.#transport === 'tcp' ? this.#stream(bytes) : this.#datagram(bytes)),
      lost: (established, code) => this.#lost(established, code),
    });
  }

  #opened(): void {
    const hello = this.#speaker.hello();
    if (hello === undefined) {
      this.#ready();
      return;
    }
    this.#state = State.Greeting;
    this.#send(hello.bytes, { packet: undefined, expected: hello.expected, allowed: undefined, at: this.#host.elapsed() });
  }

  #ready(): void {
    this.#state = State.Ready;
    this.#tally.connected++;
    this.#pump();
  }

  /** The connection is gone, or given up: what it carried goes back to the front of the queue. */
  #lost(established: boolean, code: string): void {
    if (this.#state === State.Closed) return;
    if (this.#state === State.Ready) this.#tally.connected--;
    if (established) this.#tally.reconnects++;
    else if (code !== '') {
      this.#tally.failedConnects++;
      this.#host.failed(code);
    }
    this.#state = State.Off;
    this.#line = undefined;
    const again: Packet[] = [];
    for (const { packet } of this.#sent) if (packet !== undefined) again.push(packet);
    this.#queue = [...again, ...this.#queue];
    this.#sent = [];
    this.#awaited = 0;
    this.#since = this.#host.elapsed() + this.#backoffMs * this.#random.between(0.5, 1);
    this.#backoffMs = Math.min(LONGEST_BACKOFF_MS, 2 * this.#backoffMs);
  }

  /** Since when an answer (or the connection) is owed; infinity when none is. */
  #waitingSince(): number {
    if (this.#state === State.Opening) return this.#since;
    if (this.#awaited === 0) return Number.POSITIVE_INFINITY;
    return this.#sent.find((sent) => sent.expected !== undefined)?.at ?? Number.POSITIVE_INFINITY;
  }

  #pump(): void {
    if (this.#state !== State.Ready) return;
    while (this.#queue.length > 0 && this.#awaited < this.#speaker.window && this.#sent.length < MAX_QUEUE && this.#line?.room === true) {
      const packet = this.#queue.shift();
      if (packet !== undefined) this.#transmit(packet);
      if (this.#transport === 'tcp') this.#prove();
    }
    if (this.#transport === 'tcp') this.#prove();
  }

  #transmit(packet: Packet): void {
    const { fixes } = packet;
    if (packet.tries === 0) this.#tally.sent += fixes.length;
    else this.#tally.resent += fixes.length;
    const wire = this.#speaker.wire(packet);
    packet.tries++;
    let { bytes, expected } = wire;
    if (expected === undefined && this.#transport === 'udp') {
      // The server keeps the order within a datagram, not between them.
      const proof = this.#speaker.proof();
      if (proof !== undefined) {
        bytes = Buffer.concat([bytes, proof.bytes]);
        expected = proof.expected;
      }
    }
    this.#send(bytes, { packet, expected, allowed: wire.allowed, at: this.#host.elapsed() });
  }

  /** Asks for an answer when enough was sent that has none of its own. */
  #prove(): void {
    const first = this.#sent[0];
    if (first === undefined || this.#awaited > 0) return;
    const elapsed = this.#host.elapsed();
    const last = this.#finishing && this.#queue.length === 0;
    if (!last && this.#sent.length < PROVE_AFTER && elapsed - first.at < PROVE_MS) return;
    const proof = this.#speaker.proof();
    if (proof !== undefined) this.#send(proof.bytes, { packet: undefined, expected: proof.expected, allowed: undefined, at: elapsed });
  }

  #send(bytes: Uint8Array, sent: Sent): void {
    this.#sent.push(sent);
    if (sent.expected !== undefined) this.#awaited++;
    this.#line?.send(bytes);
  }

  #stream(chunk: Bytes): void {
    let bytes = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    this.#carry = NOTHING;
    while (bytes.length > 0 && this.#line !== undefined) {
      const used = this.#match(bytes);
      if (used === More) {
        this.#carry = Uint8Array.from(bytes);
        return;
      }
      if (used < 0) {
        // After an answer that cannot be told apart, nothing on this connection can.
        this.#line.close();
        this.#lost(true, '');
        return;
      }
      bytes = bytes.subarray(used);
    }
    this.#pump();
  }

  /** Settles what bytes[0, …) answers; returns its length, More, or a number < 0 when it answers nothing. */
  #match(bytes: Bytes): number {
    for (let k = 0; k < this.#sent.length; k++) {
      const sent = this.#sent[k];
      if (sent === undefined) break;
      const expectation = sent.expected ?? sent.allowed;
      if (expectation === undefined) continue;
      const verdict = expectation.match(bytes, 0, bytes.length);
      if (verdict > 0) {
        this.#settle(k + 1);
        return verdict;
      }
      if (verdict === More) return More;
      if (verdict === Refused) {
        this.#tally.refused++;
        return Refused;
      }
      if (sent.expected !== undefined) return this.#wrong(sent.expected.shown, bytes);
    }
    return this.#wrong('nothing', bytes);
  }

  /** Everything up to entry `count` is answered, or proven by that answer. */
  #settle(count: number): void {
    const greeting = this.#state === State.Greeting;
    const settled = this.#sent.splice(0, count);
    const elapsed = this.#host.elapsed();
    for (const sent of settled) this.#settled(sent, elapsed, !greeting);
    this.#backoffMs = FIRST_BACKOFF_MS;
    if (greeting) this.#ready();
  }

  #settled(sent: Sent, elapsed: number, counts: boolean): void {
    if (sent.expected !== undefined) {
      this.#awaited--;
      if (counts) {
        this.#tally.latency.add(elapsed - sent.at);
        this.#tally.recent.add(elapsed - sent.at);
      }
    }
    if (sent.packet === undefined) return;
    this.#tally.acknowledged += sent.packet.fixes.length;
    for (const fix of sent.packet.fixes) this.#host.acknowledged(this.#speaker.device, fix);
  }

  /** Each datagram holds one answer; which of the datagrams on their way it answers is open. */
  #datagram(bytes: Bytes): void {
    let allowed = false;
    for (let k = 0; k < this.#sent.length; k++) {
      const sent = this.#sent[k];
      if (sent?.expected === undefined) continue;
      const verdict = sent.expected.match(bytes, 0, bytes.length);
      if (verdict === bytes.length) {
        this.#sent.splice(k, 1);
        const greeting = this.#state === State.Greeting;
        this.#settled(sent, this.#host.elapsed(), !greeting);
        this.#backoffMs = FIRST_BACKOFF_MS;
        if (greeting) this.#ready();
        else this.#pump();
        return;
      }
      if (verdict === Refused) {
        this.#tally.refused++;
        return;
      }
      if (sent.allowed?.match(bytes, 0, bytes.length) === bytes.length) allowed = true;
    }
    if (!allowed) this.#wrong(this.#sent[0]?.expected?.shown ?? 'nothing', bytes);
  }

  #wrong(expected: string, bytes: Bytes): number {
    this.#tally.wrongAnswers++;
    const got = hex(bytes, 0, Math.min(bytes.length, SHOWN_BYTES));
    this.#host.wrongAnswer(this.#speaker.device, this.#transport, expected, got);
    return -1;
  }
}
