import { defineCodec, FrameKind, FrameResult } from '../src/codec/index.ts';
import type { Batch } from '../src/out/sink/sink.ts';

/**
 * Records as a mixed fleet of cars sends them, straight into a batch: drives and stops, a record every ten seconds while
 * driving and every minute while parked, a dozen attributes. Deterministic.
 */
const ATTRIBUTES = new Map([
  [239, { name: 'ignition', type: 'boolean' as const }],
  [240, { name: 'motion', type: 'boolean' as const }],
  [66, { name: 'external_v', type: 'number' as const, scale: 0.001 }],
  [67, { name: 'battery_v', type: 'number' as const, scale: 0.001 }],
  [21, { name: 'gsm_level', type: 'number' as const }],
  [16, { name: 'odometer_m', type: 'number' as const }],
  [181, { name: 'pdop', type: 'number' as const, scale: 0.1 }],
  [69, { name: 'gnss_status', type: 'number' as const }],
  [1, { name: 'input_1', type: 'boolean' as const }],
  [179, { name: 'output_1', type: 'boolean' as const }],
  [68, { name: 'battery_current_ma', type: 'number' as const }],
  [241, { name: 'operator', type: 'text' as const }],
  [24, { name: 'trip_m', type: 'number' as const }],
]);

const codec = defineCodec({
  name: 'fleet',
  about: 'benchmarks',
  maxFrameBytes: 65_536,
  maxAnswerBytes: 0,
  attributes: ATTRIBUTES,
  messages: [],
  reasons: [],
  recognise: () => true,
  tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
});

interface Car {
  readonly device: string;
  time: number;
  latitude: number;
  longitude: number;
  heading: number;
  speed: number;
  odometer: number;
  trip: number;
  /** Records until it stops or drives off. */
  left: number;
  driving: boolean;
}

export class Fleet {
  readonly #cars: Car[] = [];
  readonly #frame = new FrameResult();
  readonly #bytes = Buffer.alloc(64);
  #seed = 12345;
  #next = 0;

  constructor(cars: number) {
    for (let i = 0; i < cars; i++) {
      this.#cars.push({
        device: String(356_307_042_000_000 + Math.floor(this.#random() * 999_999)),
        time: Date.UTC(2026, 9, 1) + Math.floor(this.#random() * 60) * 1000,
        latitude: 54.6 + this.#random(),
        longitude: 25 + this.#random(),
        heading: this.#random() * 360,
        speed: 0,
        odometer: Math.floor(this.#random() * 300_000_000),
        trip: 0,
        left: Math.floor(this.#random() * 60),
        driving: false,
      });
    }
  }

  /** Adds `rows` records, in the order of receipt. */
  fill(batch: Batch, rows: number): void {
    const frame = this.#frame;
    for (let i = 0; i < rows; i++) {
      const car = this.#cars[this.#next++ % this.#cars.length];
      if (car === undefined) return;
      this.#drive(car);
      this.#bytes.writeDoubleLE(car.time, 0);
      this.#bytes.writeDoubleLE(car.latitude, 8);
      this.#bytes.writeDoubleLE(car.odometer, 16);
      frame.reset(0, 24);
      frame.kind = FrameKind.Records;
      this.#record(frame, car);
      const received = car.time + 400 + Math.floor(this.#random() * 1500);
      batch.rows.append(frame, codec, car.device, received, 1, this.#bytes);
    }
    batch.locate('0', 1);
  }

  #record(frame: FrameResult, car: Car): void {
    const r = frame.row();
    frame.time[r] = car.time;
    frame.latitude[r] = Math.round(car.latitude * 1e7) / 1e7;
    frame.longitude[r] = Math.round(car.longitude * 1e7) / 1e7;
    frame.altitudeM[r] = 100 + Math.round(20 * Math.sin(car.latitude * 100));
    frame.speedKmh[r] = Math.round(car.speed);
    frame.courseDeg[r] = Math.round(car.heading);
    frame.satellites[r] = 9 + Math.floor(this.#random() * 6);
    frame.hdop[r] = (6 + Math.floor(this.#random() * 4)) / 10;
    frame.valid[r] = 1;
    frame.attr(239, car.driving ? 1 : 0);
    frame.attr(240, car.speed > 0 ? 1 : 0);
    frame.attr(66, (car.driving ? 13_900 : 12_600) + Math.floor(this.#random() * 150));
    frame.attr(67, 4_050 + Math.floor(this.#random() * 20));
    frame.attr(21, 2 + Math.floor(this.#random() * 4));
    frame.attr(16, Math.round(car.odometer));
    frame.attr(181, 10 + Math.floor(this.#random() * 8));
    frame.attr(69, 1);
    frame.attr(1, car.driving ? 1 : 0);
    frame.attr(179, 0);
    frame.attr(68, car.driving ? Math.floor(this.#random() * 3) : 0);
    frame.attrText(241, '24602');
    frame.attr(24, Math.round(car.trip));
  }

  #drive(car: Car): void {
    if (--car.left < 0) {
      car.driving = !car.driving;
      car.left = car.driving ? 60 + Math.floor(this.#random() * 300) : 10 + Math.floor(this.#random() * 60);
      if (car.driving) car.trip = 0;
    }
    const seconds = car.driving ? 10 : 60;
    car.time += seconds * 1000;
    car.speed = car.driving ? Math.min(120, Math.max(0, car.speed + (this.#random() - 0.45) * 20)) : 0;
    car.heading = (car.heading + (car.driving ? (this.#random() - 0.5) * 30 : 0) + 360) % 360;
    const metres = (car.speed / 3.6) * seconds;
    car.odometer += metres;
    car.trip += metres;
    car.latitude += (metres * Math.cos((car.heading * Math.PI) / 180)) / 111_320;
    car.longitude += (metres * Math.sin((car.heading * Math.PI) / 180)) / (111_320 * Math.cos((car.latitude * Math.PI) / 180));
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 4_294_967_296;
  }
}
