import { type Bytes, hex } from '../base/wire/index.ts';
import type { Transport } from '../codec/index.ts';
import { type Address, type Line, openLine } from './line.ts';
import { mood, type Obedience, type Order } from './obedience.ts';
import { Random } from './random.ts';
import { type Expectation, type Fix, More, type Packet, Refused, type Speaker, type Wire, Wrong } from './speaker.ts';
import type { Tally } from './tally.ts';
import type { Sample, Track } from './track.ts';

/**
 * One simulated device: it samples its track, sends, waits for answers, and sends again what was not answered. Now and
 * then it has no coverage: it keeps its samples and sends them, oldest first, when it is back. Now and then an answer is
 * lost on it: it waits as long as usual and sends the same once more.
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
 * 5. An answer that is taken for lost did arrive: it is checked, its records are acknowledged and in the ledger, once. What is
 *    sent again on the same connection is the same bytes; so is a datagram, from the same port.
 * 6. A command is not an answer: it is obeyed as `--replies` says, and its reply goes out beside everything else.
 * 7. When a device has no coverage and which answers are lost on it follows from its seed and the number of its samples
 *    and answers, not from the clock.
 */
export interface DeviceHost {
  /** Epoch ms, and monotonic ms. */
  now(): number;
  elapsed(): number;
  acknowledged(device: string, fix: Fix): void;
  wrongAnswer(device: string, transport: Transport, expected: string, got: string): void;
  failed(code: string): void;
  readonly timeoutMs: number;
  /** It loses neither coverage nor answers. */
  readonly steady: boolean;
  /** How it takes commands. */
  readonly obedience: Obedience;
}

/** Where its samples come from. */
type Driven = Pick<Track, 'at' | 'alarm'>;

/** Packets kept until they can be sent. */
const MAX_QUEUE = 1000;
/** Packets sent without an answer of their own before a proof is asked for, and the longest that one is put off. */
const PROVE_AFTER = 5;
const PROVE_MS = 5000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5000;
const SHOWN_BYTES = 64;
const REPLY_MS = 50;
const SLOW_MS = 8000;
const NOTHING = new Uint8Array(0);
/** Times of reporting with coverage and without: at least, and how many more at most. */
const COVERED = [12, 60] as const;
const UNCOVERED = [6, 40] as const;
/** Answers between two that are lost. */
const HEARD = [12, 60] as const;

/** Something on its way: a packet, or a message that only asks for an answer. */
interface Sent {
  readonly packet: Packet | undefined;
  readonly bytes: Uint8Array;
  readonly expected: Expectation | undefined;
  readonly allowed: Expectation | undefined;
  /** Monotonic ms. */
  at: number;
  /** Its answer came and was taken for lost. */
  lost: boolean;
}

const State = { Off: 0, Opening: 1, Greeting: 2, Ready: 3, Closed: 4 } as const;
type State = (typeof State)[keyof typeof State];

export class Device {
  readonly #speaker: Speaker;
  readonly #transport: Transport;
  readonly #to: Address;
  readonly #track: Driven;
  readonly #random: Random;
  /** Two, because how samples and answers interleave depends on the clock (7). */
  readonly #coverage: Random;
  readonly #hearing: Random;
  readonly #moods: Random;
  readonly #tally: Tally;
  readonly #host: DeviceHost;
  #state: State = State.Off;
  #line: Line | undefined;
  #queue: Packet[] = [];
  /** Kept while there is no coverage. */
  #stored: Sample[] = [];
  #covered = true;
  /** Times of reporting until coverage begins or ends; answers until one is lost. */
  #untilTurn: number;
  #untilLost: number;
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
  /** What a command has made its interval, ms; undefined: as it was. */
  intervalMs: number | undefined;

  constructor(speaker: Speaker, transport: Transport, to: Address, track: Driven, random: Random, tally: Tally, host: DeviceHost) {
    this.#speaker = speaker;
    this.#transport = transport;
    this.#to = to;
    this.#track = track;
    this.#random = random;
    this.#coverage = new Random(random.int(0x7fffffff));
    this.#hearing = new Random(random.int(0x7fffffff));
    this.#moods = new Random(random.int(0x7fffffff));
    this.#untilTurn = some(COVERED, this.#coverage);
    this.#untilLost = some(HEARD, this.#hearing);
    this.#tally = tally;
    this.#host = host;
    tally.devices++;
  }

  /** Nothing is left to send or to hear of. */
  get settled(): boolean {
    return this.#queue.length === 0 && this.#sent.length === 0 && this.#stored.length === 0;
  }

  alarm(): void {
    this.#track.alarm();
  }

  /** Reads the position `count` times, evenly up to now over `overMs`, and sends it. */
  sample(count: number, overMs: number): void {
    const isFull = this.#queue.length + this.#stored.length >= MAX_QUEUE;
    const now = this.#host.now();
    const samples = Array.from({ length: count }, (_, k) => this.#track.at(now - (overMs * (count - 1 - k)) / count));
    if (!this.#host.steady && --this.#untilTurn < 0) {
      if (this.#covered) this.#covered = false;
      else this.#return();
      this.#untilTurn = some(this.#covered ? COVERED : UNCOVERED, this.#coverage);
    }
    if (isFull) return;
    if (!this.#covered) {
      this.#stored.push(...samples);
      this.#tally.stored += count;
      return;
    }
    this.#queue.push(...this.#speaker.packets(samples));
    this.#pump();
  }

  /** Coverage is back: what was kept goes first. The connection may have survived on this side or not. */
  #return(): void {
    this.#covered = true;
    if (this.#stored.length > 0) this.#queue.push(...this.#speaker.packets(this.#stored, true));
    this.#stored = [];
    if (this.#coverage.next() < 0.5 && this.#state === State.Ready) this.#reconnect();
  }

  #reconnect(): void {
    this.#line?.close();
    this.#lost(false, '');
  }

  /** Called every tenth of a second or so: connects when it is time, and loses patience. */
  check(): void {
    if (!this.#covered) return;
    const elapsed = this.#host.elapsed();
    if (this.#state === State.Off) {
      if (elapsed >= this.#since && !(this.#finishing && this.settled)) this.#open(elapsed);
      return;
    }
    const awaited = this.#sent.find((sent) => sent.expected !== undefined);
    const waitingSince = this.#state === State.Opening ? this.#since : (awaited?.at ?? Number.POSITIVE_INFINITY);
    if (elapsed - waitingSince <= this.#host.timeoutMs) this.#pump();
    else if (awaited?.lost === true) this.#again(awaited, elapsed);
    else {
      this.#tally.timeouts++;
      this.#line?.close();
      this.#lost(this.#state !== State.Opening && this.#transport === 'tcp', this.#state === State.Opening ? 'ETIMEDOUT' : '');
    }
  }

  /** An answer was lost: the same once more, here or, over TCP, on a new connection. */
  #again(sent: Sent, elapsed: number): void {
    const { packet } = sent;
    if (packet === undefined || (this.#transport === 'tcp' && this.#hearing.next() < 0.5)) {
      this.#reconnect();
      return;
    }
    this.#sent.splice(this.#sent.indexOf(sent), 1);
    sent.at = elapsed;
    sent.lost = false;
    packet.tries++;
    this.#tally.resent += packet.fixes.length;
    this.#sent.push(sent);
    this.#line?.send(sent.bytes);
  }

  /** No new samples come: what is under way is brought to its end. */
  finish(): void {
    this.#finishing = true;
    if (!this.#covered) this.#return();
    this.#pump();
  }

  close(): void {
    if (this.#state === State.Ready) this.#tally.connected--;
    this.#state = State.Closed;
    this.#line?.close();
    this.#line = undefined; // A reply that was to come is not sent.
    this.#tally.unsent += this.#stored.length;
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
      passed: (sent, received) => {
        this.#tally.bytesSent += sent;
        this.#tally.bytesReceived += received;
      },
    });
  }

  #opened(): void {
    const hello = this.#speaker.hello();
    if (hello === undefined) {
      this.#ready();
      return;
    }
    this.#state = State.Greeting;
    this.#send(hello, undefined);
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

  #pump(): void {
    if (this.#state !== State.Ready || !this.#covered) return;
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
    this.#send({ bytes, expected, allowed: wire.allowed }, packet);
  }

  /** Asks for an answer when enough was sent that has none of its own. */
  #prove(): void {
    const first = this.#sent[0];
    if (first === undefined || this.#awaited > 0) return;
    const elapsed = this.#host.elapsed();
    const last = this.#finishing && this.#queue.length === 0;
    if (!last && this.#sent.length < PROVE_AFTER && elapsed - first.at < PROVE_MS) return;
    const proof = this.#speaker.proof();
    if (proof !== undefined) this.#send(proof, undefined);
  }

  #send(wire: Wire, packet: Packet | undefined): void {
    this.#sent.push({ ...wire, packet, at: this.#host.elapsed(), lost: false });
    if (wire.expected !== undefined) this.#awaited++;
    this.#line?.send(wire.bytes);
  }

  #stream(chunk: Bytes): void {
    let bytes = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    this.#carry = NOTHING;
    while (bytes.length > 0 && this.#line !== undefined) {
      const extra = this.#speaker.extra?.(bytes, 0, bytes.length) ?? Wrong;
      const used = extra !== Wrong ? extra : this.#order(bytes) || this.#match(bytes);
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

  /** Obeys the command that the bytes begin with; returns its length, 0 if there is none. */
  #order(bytes: Bytes): number {
    const order = this.#speaker.order(bytes, 0, bytes.length);
    if (order === undefined) return 0;
    this.#tally.commands++;
    this.#obey(order);
    return order.length;
  }

  /** Invariant 6. */
  #obey(order: Order): void {
    const how = mood(this.#host.obedience, this.#moods);
    const line = this.#line;
    const deed = this.#speaker.deed(order, () => this.#track.at(this.#host.now()));
    if (how === 'silent') return;
    if (how === 'reboot' || deed.restarts === true) {
      this.#reconnect();
      return;
    }
    if (deed.intervalMs !== undefined && how !== 'wrong') this.intervalMs = deed.intervalMs;
    if (deed.reports === true && how !== 'wrong') this.sample(1, 0);
    if (deed.reply === undefined) return;
    const text = how === 'wrong' ? 'what?' : deed.reply;
    const key = how === 'wrong' ? order.key + 1 : order.key;
    setTimeout(
      () => {
        if (this.#line !== line || line === undefined) return;
        this.#tally.replies++;
        line.send(this.#speaker.reply({ ...order, key }, text));
      },
      how === 'slow' ? SLOW_MS : REPLY_MS,
    ).unref();
  }

  /** Settles what bytes[0, …) answers; returns its length, More, or a number < 0 when it answers nothing. */
  #match(bytes: Bytes): number {
    for (let k = 0; k < this.#sent.length; k++) {
      const sent = this.#sent[k];
      if (sent === undefined) break;
      if (sent.lost) continue;
      const expectation = sent.expected ?? sent.allowed;
      if (expectation === undefined) continue;
      const verdict = expectation.match(bytes, 0, bytes.length);
      if (verdict > 0) {
        this.#settle(sent, k + 1);
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

  /** The first `count` entries are answered, or proven by this answer, which is the last one's. */
  #settle(last: Sent, count: number): void {
    const greeting = this.#state === State.Greeting;
    const kept: Sent[] = [];
    const settled: Sent[] = [];
    for (const sent of this.#sent.splice(0, count)) (sent.lost ? kept : settled).push(sent);
    for (const sent of settled) this.#acknowledge(sent, !greeting);
    if (!greeting && this.#loses(last)) {
      last.lost = true;
      this.#tally.lostAnswers++;
      // What only a proof's answer confirms is not confirmed without it.
      kept.push(...(last.packet === undefined ? settled : [last]));
    }
    this.#sent.unshift(...kept);
    this.#awaited = this.#sent.reduce((sum, sent) => sum + (sent.expected === undefined ? 0 : 1), 0);
    this.#backoffMs = FIRST_BACKOFF_MS;
    if (greeting) this.#ready();
  }

  /** Is this answer one of those that are lost on the device? */
  #loses(sent: Sent): boolean {
    if (sent.expected === undefined || this.#finishing || this.#host.steady || --this.#untilLost >= 0) return false;
    this.#untilLost = some(HEARD, this.#hearing);
    return true;
  }

  #acknowledge({ packet, expected, at }: Sent, counts: boolean): void {
    if (expected !== undefined && counts) {
      this.#tally.latency.add(this.#host.elapsed() - at);
      this.#tally.recent.add(this.#host.elapsed() - at);
    }
    if (packet === undefined || packet.acknowledged) return;
    packet.acknowledged = true;
    this.#tally.acknowledged += packet.fixes.length;
    for (const fix of packet.fixes) this.#host.acknowledged(this.#speaker.device, fix);
  }

  /** Each datagram holds one answer; which of the datagrams on their way it answers is open. */
  #datagram(bytes: Bytes): void {
    if (this.#speaker.extra?.(bytes, 0, bytes.length) === bytes.length || this.#order(bytes) > 0) return;
    let allowed = false;
    for (let k = 0; k < this.#sent.length; k++) {
      const sent = this.#sent[k];
      if (sent?.expected === undefined || sent.lost) continue;
      const verdict = sent.expected.match(bytes, 0, bytes.length);
      if (verdict === bytes.length) {
        // The order between datagrams is open: this one alone is settled.
        this.#sent.splice(k, 1);
        this.#sent.unshift(sent);
        this.#settle(sent, 1);
        this.#pump();
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

function some([least, more]: readonly [number, number], random: Random): number {
  return least + random.int(more);
}
