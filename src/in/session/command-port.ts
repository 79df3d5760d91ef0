import type { Codec, FrameResult, Options, Transport } from '../../codec/index.ts';
import type { Delivery } from '../../fleet/command/delivery.ts';
import type { DeliveryPort } from '../../fleet/command/delivery-line.ts';
import type { Marks } from '../../journal/entry.ts';
import { attributeView, viewsOf } from '../../out/record/attribute-view.ts';
import type { Line, Session } from './session.ts';

/** For a device whose data goes to the stream only. */
const RELAY: Marks = { keep: null, relay: true };

/**
 * The way of commands to the device of one session, while it has it.
 *
 * 8. A command leaves only when no answer is owed: never between a frame and its answer.
 * 14. Several sessions may speak for one device. Commands have one way, which the session table decides; a session that is not it has
 *    no port.
 */
export class CommandPort implements DeliveryPort {
  readonly device: string;
  readonly codec: Codec;
  readonly transport: Transport;
  wantsFix = false;
  wantsMotion = false;
  readonly #delivery: Pick<Delivery, 'ready' | 'replied' | 'fixed'>;
  readonly #line: Line;
  readonly #session: Session;
  /** A command waits until no answer is owed. */
  #waits = false;

  constructor(delivery: Pick<Delivery, 'ready' | 'replied' | 'fixed'>, line: Line, session: Session) {
    this.device = session.device;
    this.codec = line.codec;
    this.transport = line.transport;
    this.#delivery = delivery;
    this.#line = line;
    this.#session = session;
  }

  get clear(): boolean {
    return this.#line.clear;
  }

  get relay(): boolean {
    return this.#session.treatment.relay;
  }

  get moving(): boolean | undefined {
    return this.#session.moving;
  }

  get contested(): boolean {
    return this.#session.contested;
  }

  get standing(): boolean {
    return this.#session.standing;
  }

  contest(peer: string): void {
    this.#session.contest(peer);
  }

  wait(): void {
    this.#waits = true;
    // On UDP the way is open right behind an uplink only.
    if (this.transport === 'tcp') this.proceed();
  }

  /** The way may be clear now. */
  proceed(): void {
    if (!this.#waits || !this.clear) return;
    this.#waits = false;
    this.#delivery.ready(this);
  }

  transmit(type: string, parameters: Options, key: number): boolean {
    const length = this.#session.reader.encodeCommand(type, parameters, key, this.#line.out.room, this.#session.now);
    if (length === 0) return false;
    this.#session.meter.out += length;
    this.#line.out.send(length);
    return true;
  }

  /** What a device has replied may be where it is. */
  event(event: object): void {
    this.#session.event(event, this.relay ? RELAY : undefined);
  }

  /** The frame is a reply, and in the journal. */
  replied(frame: FrameResult): void {
    const values: Record<string, string | number | boolean> = {};
    const views = viewsOf(this.codec);
    const end = frame.rows === 0 ? 0 : (frame.attrEnd[0] ?? 0);
    for (let a = 0; a < end; a++) {
      const view = attributeView(this.codec, views, frame.attrId[a] ?? 0);
      const raw = frame.attrNum[a] ?? 0;
      if (view.name === 'reply') continue;
      if (view.type === 'text') values[view.name] = frame.texts[raw] ?? '';
      else if (view.type === 'boolean') values[view.name] = raw !== 0;
      else values[view.name] = (raw * view.multiply) / view.divide + view.offset;
    }
    this.#delivery.replied(this, frame.replyKey, frame.replyText, values);
  }

  /** Tells of the newest position in the frame, if a request waits for one. */
  fixed(frame: FrameResult): void {
    if (!this.wantsFix) return;
    const row = frame.rows - 1;
    const [lat = Number.NaN, lon = Number.NaN, time = Number.NaN] = [frame.latitude[row], frame.longitude[row], frame.time[row]];
    if (Number.isNaN(lat) || Number.isNaN(lon) || Number.isNaN(time)) return;
    const speed = frame.speedKmh[row] ?? Number.NaN;
    const more = Number.isNaN(speed) ? {} : { speed_kmh: speed };
    this.#delivery.fixed(this, { time, valid: frame.valid[row] === 1, lat, lon, ...more });
  }
}
