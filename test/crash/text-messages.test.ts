import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { jsonText, SMS_SECRET } from '../support/text-sender.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment } from '../support/wait.ts';

/** Text messages on a whole server that is killed with all its processes. */

const KILLS = rounds(2, 8);
const NUMBER = '+46701234567';
const DEVICE = 'tracker-1';

let dataDir = '';
let api: ApiServer | undefined;

afterEach(async () => {
  await api?.running.stop();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

interface Message {
  readonly id: string;
  readonly from: string;
  readonly text: string;
}

/** Did the gateway hear that it has arrived? */
async function arrives(url: string, message: Message): Promise<boolean> {
  const { body, headers } = jsonText(message);
  return fetch(`${url}/v1/sms/inbound`, { method: 'POST', body, headers }).then(
    ({ status }) => status === 200,
    () => false,
  );
}

describe('a text message', () => {
  it('is one record, whatever is killed between its receipt and the answer, and however often the gateway repeats it', async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'fixgate-texts-'));
    const env = { ...OWN_ENGINE, FIXGATE_SMS_KEY: SMS_SECRET, FIXGATE_WORKERS: '1' };
    const random = new Random(3);
    const all: Message[] = [];
    const open = new Set<Message>();
    let known: string | undefined;
    for (let kill = 0; kill <= KILLS; kill++) {
      api = await ApiServer.start(env, { dataDir, ...(known === undefined ? {} : { known }) });
      const { url, running } = api;
      known = api.token;
      if (kill === 0) expect((await api.call('PUT', `/v1/devices/${DEVICE}`, { phone: NUMBER, protocol: 'gt06' })).status).toBe(201);
      // As a gateway does: what was not answered is sent again, and some of what was.
      for (const message of open) if (await arrives(url, message)) open.delete(message);
      expect(open.size).toBe(0);
      if (kill === KILLS) break;
      let ended = false;
      const sending = (async () => {
        while (!ended) {
          const n = all.length;
          const message = { id: `m-${n}`, from: NUMBER, text: `No ${n}: http://maps.google.com/maps?q=N22.571707,E113.857025` };
          all.push(message);
          open.add(message);
          if (await arrives(url, message)) open.delete(message);
          else break;
        }
      })();
      await moment(random, 300, 900);
      for (const pid of [running.pid, ...running.children('worker'), ...running.children('shipper'), ...running.children('clickhouse')])
        process.kill(pid, 'SIGKILL');
      await running.exited;
      ended = true;
      await sending;
    }
    for (const message of all.slice(-5)) expect(await arrives(api?.url ?? '', message)).toBe(true);
    expect(all.length).toBeGreaterThan(KILLS);
    const rows = async (): Promise<string[]> =>
      (await api?.running.query(`SELECT texts['reply'] FROM positions FINAL WHERE device = '${DEVICE}' FORMAT TSV`))
        ?.split('\n')
        .filter(Boolean)
        .sort() ?? [];
    await eventually(async () => expect((await rows()).length).toBeGreaterThanOrEqual(all.length));
    expect(await rows()).toEqual(all.map(({ text }) => text).sort());
    const { body } = (await api?.call('GET', `/v1/devices/${DEVICE}/usage`)) ?? {};
    expect(body?.['cycles']).toMatchObject([{ texts_in: all.length }]);
  });
});
