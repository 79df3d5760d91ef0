import type { Rows } from '../../record/rows.ts';

/**
 * What an authority wants: the form of its records, and how they are handed over. `sink.ts` has what is the same for all: which records, in
 * which order, how often, and what is done with those that are refused.
 */
export interface Adapter {
  /** Of the sink: in metrics, health and files. */
  readonly name: string;
  /** Records of one call at most. */
  readonly most: number;
  /** Reads what it needs to ask. Rejects when that is not there. */
  open(): Promise<void>;
  /** Undefined: the device is not forwarded. */
  subject(device: Registered): Subject | undefined;
  /** The record in the authority's form, or why it cannot be sent, as a text. `number` counts the records of a device, from 1. */
  record(rows: Rows, row: number, subject: Subject, number: number): object | string;
  /** Hands records over, all or none. Rejects when the outcome is not known, or nothing could be said. */
  send(records: readonly object[]): Promise<Answer>;
  /** Makes a device known, before or after its first record; and unknown. */
  register(subject: Subject): Promise<Answer>;
  unregister(unit: string): Promise<Answer>;
}

/** A device as the registry has it. */
export interface Registered {
  readonly id: string;
  readonly unit?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface Subject {
  /** The authority's name of the device. */
  readonly unit: string;
  /** What it is told of the device beside its records; another text: it has changed. */
  readonly master: Readonly<Record<string, string | number>>;
}

export interface Answer {
  /** False: it refuses what it got, and will refuse it again. */
  readonly taken: boolean;
  /** Of the answer itself, for the evidence. */
  readonly code: number;
  readonly message: string;
  /** How many records it says that it has taken. */
  readonly received?: number | undefined;
}

/** Not now: the authority wants fewer calls. */
export class TooMany extends Error {
  readonly afterMs: number;

  constructor(afterMs: number) {
    super('too many calls');
    this.afterMs = afterMs;
  }
}
