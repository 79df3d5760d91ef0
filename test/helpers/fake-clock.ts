import type { Clock } from '../../src/base/clock.ts';

/** A clock that a test sets and steps. */
export class FakeClock implements Clock {
  wall = Date.UTC(2026, 10, 1);
  monotonic = 1000;

  now(): number {
    return this.wall;
  }

  elapsed(): number {
    return this.monotonic;
  }

  step(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
}
