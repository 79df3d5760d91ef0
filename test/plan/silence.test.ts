import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { SilenceKeeper } from '../../src/fleet/plan/silence.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import type { StateStore, Table } from '../../src/state/store.ts';
import { interposed } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';
import { eventually, remains } from '../support/wait.ts';

/** Silent devices and their return. Numbers quote the invariants of src/fleet/plan/silence.ts. */

const stores = new Stores();
const keepers: SilenceKeeper[] = [];
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.stop();
  await stores.clear();
});

const NOW = 1_793_491_200_000;
const AFTER_S = 3_600;
let elapsed = 0;

function keeper(store: StateStore): { readonly events: object[]; stop(): Promise<void> } {
  const events: object[] = [];
  const record = (device: string, event: object): number => events.push({ device, ...event });
  const made = new SilenceKeeper({ store, record, now: () => NOW + elapsed, elapsed: () => elapsed, log: silentLog });
  made.start();
  keepers.push(made);
  return { events, stop: () => made.stop() };
}

async function put(store: StateStore, ...devices: object[]): Promise<void> {
  await store.write([
    { table: 'plans', key: 'watched', put: JSON.stringify({ name: 'watched', silent_after_s: AFTER_S }) },
    ...devices.map((given) => {
      const device = deviceSchema.parse({ plan: 'watched', first_seen: 1, ...given });
      return { table: 'devices', key: device.id, put: JSON.stringify(device) } as const;
    }),
  ]);
}

async function change(store: StateStore, given: object): Promise<void> {
  const device = deviceSchema.parse({ plan: 'watched', first_seen: 1, ...given });
  await store.write([{ table: 'devices', key: device.id, put: JSON.stringify(device) }]);
}

const speaks = (store: StateStore, device: string): Promise<boolean> =>
  store.write([{ table: 'usage', key: `${device} 1793491200000`, add: { bytes_in: 1 } }]);

const of = (events: readonly object[], device: string): object[] => events.filter((event) => Reflect.get(event, 'device') === device);

describe.each(['lmdb', 'redis'] as const)('with the state store in %s', (kind) => {
  it('1: a device that says nothing for as long as its plan allows is told of once, and its return once', async () => {
    const store = await stores.open(kind);
    await put(store, { id: 'd-1' }, { id: 'd-2' }, { id: 'x-1' }, { id: 'd-3', plan: 'default' }, { id: 'd-4', state: 'suspended' });
    await put(store, { id: 'd-5', first_seen: undefined }, { id: 'd-6', suspends_at: NOW - 1 }, { id: 'd-7', expires_at: NOW - 1 });
    const { events } = keeper(store);
    const types = (device: string): unknown[] => of(events, device).map((event) => Reflect.get(event, 'type'));
    await eventually(() => {
      elapsed += AFTER_S * 1000 + 10;
      for (const device of ['d-1', 'd-2', 'x-1']) expect(types(device)).toEqual(['device_silent']);
    });
    const since = Reflect.get(of(events, 'd-1')[0] ?? {}, 'since');
    for (const device of ['d-1', 'd-2']) await speaks(store, device);
    await eventually(() => expect([types('d-1'), types('d-2')]).toEqual(Array(2).fill(['device_silent', 'device_back'])));
    expect(of(events, 'd-1')).toMatchObject([
      { after_s: AFTER_S },
      { since, silent_s: Math.round((NOW + elapsed - Number(since)) / 1000) },
    ]);
    expect(await store.get('silent', 'd-1')).toBeUndefined();
    // What comes last shows that what came before it was seen.
    elapsed += AFTER_S * 1000 - 10_000;
    await speaks(store, 'd-2');
    await speaks(store, 'x-1');
    await eventually(() => expect(types('x-1')).toEqual(['device_silent', 'device_back']));
    elapsed += 10_010;
    await eventually(() => expect(types('d-1')).toEqual(['device_silent', 'device_back', 'device_silent']));
    expect(types('d-2')).toEqual(['device_silent', 'device_back']);
    expect(['d-3', 'd-4', 'd-5', 'd-6', 'd-7'].flatMap(types)).toEqual([]);
  });

  it('2: two servers on one store, and one that starts again, tell each silence and its end once', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    await put(store, { id: 'd-1' });
    const first = keeper(store);
    const second = keeper(other);
    const all = (): object[] => [...of(first.events, 'd-1'), ...of(second.events, 'd-1')];
    await eventually(() => {
      elapsed += AFTER_S * 1000 + 10;
      expect(all()).toHaveLength(1);
    });
    await remains(() => expect(all()).toHaveLength(1), 1_500);
    await first.stop();
    await second.stop();
    const third = keeper(store);
    await remains(() => {
      elapsed += AFTER_S * 1000;
      expect([...all(), ...of(third.events, 'd-1')]).toHaveLength(1);
    }, 2_500);
    await speaks(store, 'd-1');
    await eventually(() => expect(of(third.events, 'd-1')).toMatchObject([{ type: 'device_back' }]));
  });
});

/** What a stall may look like from the keeper: the moments that pass, in which order, and what it may say. */
describe('after a stall', () => {
  interface World {
    readonly store: StateStore;
    /** Monotonic ms of the devices and of the looks, and what is counted, epoch ms. */
    readonly time: { elapsed: number; pulse: number; counted: number };
    readonly types: () => unknown[];
    /** Lets some looks pass. */
    readonly looks: () => Promise<void>;
    /** Changes of which table are not heard of yet. */
    readonly held: { table: Table | undefined };
    readonly release: () => void;
  }

  /** A keeper that hears of changes when the test lets it. */
  async function world(): Promise<World> {
    const store = await stores.open('lmdb');
    await put(store, { id: 'd-1' }, { id: 'other', plan: 'default' });
    const time = { elapsed: 0, pulse: 0, counted: Number.POSITIVE_INFINITY };
    const held: World['held'] = { table: undefined };
    const late: (() => void)[] = [];
    const slow: StateStore = {
      ...interposed(store, {}),
      watch: (changed) => store.watch((table, key) => (table === held.table ? late.push(() => changed(table, key)) : changed(table, key))),
    };
    const events: object[] = [];
    let pulses = 0;
    const made = new SilenceKeeper({
      store: slow,
      record: (device, event) => events.push({ device, ...event }),
      now: () => NOW + time.elapsed,
      elapsed: () => time.elapsed,
      counted: async () => time.counted,
      pulse() {
        pulses++;
        return time.pulse;
      },
      log: silentLog,
      everyMs: 5,
    });
    made.start();
    keepers.push(made);
    const looks = async (): Promise<void> => {
      for (let n = 0; n < 4; n++) {
        // Each look asks for the pulse a few times.
        const before = pulses;
        await eventually(() => expect(pulses).toBeGreaterThan(before + 20));
        time.pulse += 1_000;
      }
    };
    return {
      store,
      time,
      looks,
      held,
      types: () => of(events, 'd-1').map((event) => Reflect.get(event, 'type')),
      release: () => {
        held.table = undefined;
        for (const one of late.splice(0)) one();
      },
    };
  }

  const LONG = AFTER_S * 1_000 + 1;

  it.each<[string, (all: World) => Promise<void>, readonly string[]]>([
    [
      'a device that says nothing while all goes well is silent',
      async ({ time, looks }) => {
        time.elapsed += LONG;
        await looks();
      },
      ['device_silent'],
    ],
    [
      '3: the supervisor was stopped: what was said meanwhile comes behind the next look',
      async ({ store, time, looks, held, release }) => {
        held.table = 'usage';
        await speaks(store, 'd-1');
        time.elapsed += LONG;
        time.pulse += LONG;
        await looks();
        release();
        await looks();
      },
      [],
    ],
    [
      '3: it was stopped, and the device has been silent from then on',
      async ({ time, looks }) => {
        time.elapsed += LONG;
        time.pulse += LONG;
        await looks();
        time.elapsed += LONG;
        await looks();
      },
      ['device_silent'],
    ],
    [
      '4: the shipper was stopped: usage is counted later than the plan allows',
      async ({ store, time, looks }) => {
        time.counted = NOW + time.elapsed;
        time.elapsed += LONG;
        await looks();
        await speaks(store, 'd-1');
        time.counted = Number.POSITIVE_INFINITY;
        await looks();
      },
      [],
    ],
    [
      '5: a change that gets here late, of before the silence, is no return',
      async ({ store, time, looks, held, release }) => {
        held.table = 'usage';
        await speaks(store, 'd-1');
        time.elapsed += LONG;
        await looks();
        release();
        await looks();
      },
      ['device_silent'],
    ],
    [
      '5: what comes behind the silence is one',
      async ({ store, time, looks }) => {
        await speaks(store, 'd-1');
        await looks();
        time.elapsed += LONG;
        await looks();
        await speaks(store, 'd-1');
        await looks();
      },
      ['device_silent', 'device_back'],
    ],
    [
      '2: what this server has told is known to it before the store says so',
      async ({ store, time, looks, held }) => {
        held.table = 'silent';
        time.elapsed += LONG;
        await looks();
        await speaks(store, 'd-1');
        await looks();
      },
      ['device_silent', 'device_back'],
    ],
    [
      '2: a silence that another server has told ends here, too',
      async ({ store, looks }) => {
        await store.write([{ table: 'silent', key: 'd-1', put: JSON.stringify({ since: NOW, heard: '' }) }]);
        await looks();
        await speaks(store, 'd-1');
        await looks();
      },
      ['device_back'],
    ],
    [
      'a device that is suspended is not told of',
      async ({ store, time, looks }) => {
        await change(store, { id: 'd-1', state: 'suspended' });
        await looks();
        time.elapsed += LONG;
        await looks();
      },
      [],
    ],
    [
      'a device that is in service again is watched from then on',
      async ({ store, time, looks }) => {
        await change(store, { id: 'd-1', state: 'suspended' });
        await looks();
        time.elapsed += LONG;
        await change(store, { id: 'd-1' });
        await looks();
        time.elapsed += LONG;
        await looks();
      },
      ['device_silent'],
    ],
    [
      'a device that was back and is silent again stays so',
      async ({ store, time, looks }) => {
        time.elapsed += LONG;
        await looks();
        await speaks(store, 'd-1');
        await looks();
        time.elapsed += LONG;
        await looks();
      },
      ['device_silent', 'device_back', 'device_silent'],
    ],
  ])('%s', async (_name, happens, expected) => {
    const all = await world();
    await all.looks();
    await happens(all);
    await all.looks();
    expect(all.types()).toEqual(expected);
  });

  it('one look at a time, however long the store takes for it', async () => {
    const store = await stores.open('lmdb');
    await put(store, { id: 'd-1' });
    let [elapsedMs, asked] = [0, 0];
    const answers: ((time: number) => void)[] = [];
    const counted = (): Promise<number> => {
      asked++;
      return asked > 2 ? Promise.resolve(0) : new Promise((resolve) => answers.push(resolve));
    };
    const options = { store, record: () => {}, now: () => NOW + elapsedMs, elapsed: () => elapsedMs, counted, log: silentLog, everyMs: 1 };
    const made = new SilenceKeeper({ ...options, pulse: () => 0 });
    keepers.push(made);
    made.start();
    await eventually(() => {
      elapsedMs += LONG;
      expect(asked).toBe(1);
    });
    await remains(() => expect(asked).toBe(1), 100);
    answers[0]?.(0);
    await eventually(() => expect(asked).toBeGreaterThan(1));
    answers[1]?.(0);
  });
});
