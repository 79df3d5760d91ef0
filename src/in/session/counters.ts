import type { Counter } from 'prom-client';
import type { Metrics } from '../../base/metrics/catalog.ts';
import { type Codec, FRAME_KIND_NAMES, type FrameKind, type Transport } from '../../codec/index.ts';

/** The counters that every frame moves, with their labels looked up once: a lookup by labels costs more than a decode. */
export class CodecCounters {
  readonly frames: readonly Counter.Internal[];
  readonly records: Counter.Internal;
  readonly answers: Counter.Internal;
  readonly noiseBytes: Counter.Internal;
  readonly #metrics: Metrics;
  readonly #codec: string;

  constructor(metrics: Metrics, codec: Codec) {
    this.#metrics = metrics;
    this.#codec = codec.name;
    this.frames = FRAME_KIND_NAMES.map((result) => metrics.frames.labels(codec.name, result));
    this.records = metrics.records.labels(codec.name);
    this.answers = metrics.answers.labels(codec.name);
    this.noiseBytes = metrics.noiseBytes.labels(codec.name);
  }

  frame(kind: FrameKind): void {
    this.frames[kind]?.inc();
  }

  /** `reason` is one of the codec's own or of the host's few: `unidentified`, `device_id`, `codec_error`. */
  malformed(reason: string): void {
    this.#metrics.malformed.inc({ codec: this.#codec, reason });
  }

  damaged(reason: string): void {
    this.#metrics.damaged.inc({ codec: this.#codec, reason });
  }
}

/** Payload bytes of one transport, both ways. */
export interface BytesCounters {
  readonly in: Counter.Internal;
  readonly out: Counter.Internal;
}

export function bytesCounters(metrics: Metrics, transport: Transport): BytesCounters {
  return { in: metrics.bytes.labels(transport, 'in'), out: metrics.bytes.labels(transport, 'out') };
}
