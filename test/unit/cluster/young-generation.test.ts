import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { forkChild } from '../../../src/cluster/running.ts';

/** All that it makes stays, as what thousands of logins leave: V8 makes the young generation as large as it may. */
const BURST = `
  import v8 from 'node:v8';
  const young = () => v8.getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space').space_size;
  const kept = new Array(300_000);
  let largest = 0;
  for (let i = 0; i < kept.length; i++) {
    kept[i] = JSON.parse('[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]]');
    if (i % 10_000 === 0) largest = Math.max(largest, young());
  }
  process.send(largest);
`;

it('the young generation of a child process grows to no more than 32 MB in a burst', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-young-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'burst.mjs');
  writeFileSync(path, BURST);
  const child = forkChild(path, []);
  onTestFinished(() => child.kill('SIGKILL'));
  expect(await new Promise((resolve) => child.onMessage(resolve))).toBeLessThanOrEqual(32 * 1024 * 1024);
});
