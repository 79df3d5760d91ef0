import { describe, expect, it } from 'vitest';
import h02 from '../../../codecs/h02/index.ts';
import { silentLog } from '../../../src/base/log.ts';
import { SessionProfile } from '../../../src/in/session/profile.ts';
import { Reader } from '../../../src/in/session/reader.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { MemoryProfiles } from '../../helpers/memory-profiles.ts';

/** 7, in src/in/session/profile.ts. */
function profileOf(profiles: MemoryProfiles, events: object[] = []): SessionProfile {
  const reader = new Reader(h02, 'tcp', {}, silentLog);
  const host = { profiles, clock: new FakeClock() };
  return new SessionProfile(host, reader, h02, 'u-1', { event: (event) => events.push(event) });
}

function kept(clock: number | undefined): MemoryProfiles {
  const profiles = new MemoryProfiles();
  profiles.kept.set('u-1', { codec: 'h02', memo: 0, updated: 0, ...(clock === undefined ? {} : { clock }) });
  return profiles;
}

describe('the clock of a device', () => {
  it.each([
    [undefined, 0, false],
    [0, 0, false],
    [480, 480, true],
  ])('that is kept as %s minutes ahead is news only when it differs: %d, %s', (minutes, clock, isNews) => {
    const profile = profileOf(kept(minutes));
    profile.recall();
    expect([profile.clock, profile.clockMoved]).toEqual([clock, isNews]);
  });

  it('that is found where it was is no news, and what is found is remembered', () => {
    const profiles = kept(480);
    const events: object[] = [];
    const profile = profileOf(profiles, events);
    profile.recall();
    profile.clockMoved = false;
    profile.clockFound(480);
    expect(profile.clockMoved).toBe(false);
    profile.clockFound(60);
    expect(profile.clockMoved).toBe(true);
    expect(profiles.kept.get('u-1')).toMatchObject({ codec: 'h02', memo: 0, clock: 60 });
    profile.clockFound(0);
    expect(profiles.kept.get('u-1')?.clock).toBeUndefined();
    expect(events.map((event) => ('before' in event && 'minutes' in event ? [event.before, event.minutes] : event))).toEqual([
      [480, 480],
      [480, 60],
      [60, 0],
    ]);
  });

  it('of another codec, or that comes when the turn is over, is not its', () => {
    const profiles = kept(480);
    profiles.kept.set('u-1', { codec: 'gt06', memo: 1, clock: 480, updated: 0 });
    const other = profileOf(profiles);
    other.recall();
    expect([other.clock, other.clockMoved, other.recalled]).toEqual([0, false, 0]);
    const late = kept(480);
    late.late = true;
    const over = profileOf(late);
    over.recall();
    over.end();
    late.answer();
    expect([over.clock, over.clockMoved]).toEqual([0, false]);
  });
});
