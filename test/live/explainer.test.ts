import { afterEach, describe, expect, it } from 'vitest';
import { Explainer } from '../../src/explain/explainer.ts';
import { handshake } from '../helpers/teltonika.ts';

let explainer: Explainer | undefined;
afterEach(() => explainer?.close());

const reading = (hex: string[]) => ({ hex, protocol: 'teltonika', transport: 'tcp', device: '', options: {} }) as const;
const HEX = Buffer.from(handshake('356307042441013')).toString('hex');

describe('the thread that reads bytes for people', () => {
  it('takes two readings at a time, invariant 1', async () => {
    explainer = new Explainer({ packages: [], options: {} });
    const [first, second] = [explainer.read(reading([HEX])), explainer.read(reading([HEX]))];
    expect(explainer.isBusy).toBe(true);
    expect(await Promise.all([first, second])).toMatchObject([{ messages: [{ type: 'login' }] }, { messages: [{ type: 'login' }] }]);
    expect(explainer.isBusy).toBe(false);
  });

  it('is ended when it takes too long, and the next reading gets another, invariant 2', async () => {
    // No reading is done in no time; the first one has the time that loading takes.
    explainer = new Explainer({ packages: [], options: {} }, 0);
    await explainer.read(reading([HEX]));
    const many = Array.from({ length: 200_000 }, () => '00');
    expect(await explainer.read(reading(many))).toMatchObject({ field: 'hex', problem: expect.stringContaining('too long') });
    expect(await explainer.read(reading([HEX]))).toMatchObject({ messages: [{ type: 'login' }] });
  });

  it('says what it is that it cannot load', async () => {
    explainer = new Explainer({ packages: ['no-such-package'], options: {} });
    expect(await explainer.read(reading([HEX]))).toMatchObject({ field: 'hex', problem: expect.stringContaining('no-such-package') });
  });
});
