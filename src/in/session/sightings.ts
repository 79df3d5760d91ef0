import type { Motion, Place } from './motion.ts';

/** A session, as far as it matters here. */
interface Spoken {
  readonly device: string;
  readonly peer: string;
  readonly record: { readonly account?: string | undefined } | undefined;
  readonly terms: { readonly mostKmh: number };
}

/**
 * What the supervisor is told of where connections speak from, so that it notices two devices with one id (`clones.ts`): the last live
 * position of a connection that ends, and those of a device that has several. A frame of any other says nothing here. One object a worker.
 */
export interface Sighting extends Place {
  readonly device: string;
  /** Whose it was then. */
  readonly account: string;
  /** Address and port. */
  readonly peer: string;
  /** So fast no vehicle is, km/h. */
  readonly mostKmh: number;
}

/** What is told at once. */
const GATHER_MS = 100;
const MOST = 1_000;

export class Sightings {
  readonly #tell: (sightings: readonly Sighting[]) => void;
  readonly #later: (work: () => void) => void;
  #gathered: Sighting[] = [];

  constructor(
    tell: (sightings: readonly Sighting[]) => void,
    later: (work: () => void) => void = (work) => void setTimeout(work, GATHER_MS).unref(),
  ) {
    this.#tell = tell;
    this.#later = later;
  }

  /** Tells where the device of the session is, unless that was told less than so long before. */
  add({ device, peer, record, terms }: Spoken, motion: Pick<Motion, 'news'> | undefined, afterMs: number): void {
    const place = motion?.news(afterMs);
    if (place === undefined) return;
    this.#gathered.push({ device, account: record?.account ?? '', peer, ...place, mostKmh: terms.mostKmh });
    if (this.#gathered.length === 1) this.#later(() => this.#send());
    else if (this.#gathered.length >= MOST) this.#send();
  }

  #send(): void {
    if (this.#gathered.length === 0) return;
    const sightings = this.#gathered;
    this.#gathered = [];
    this.#tell(sightings);
  }
}
