import type { Item } from './checklist.ts';
import type { InstallationTest } from './test-records.ts';

const MARKS = { waiting: ' ', passed: '+', failed: 'x', skipped: '-' } as const;

/** An installation test for people: on a terminal, and on paper. */
export function testText(test: InstallationTest): string {
  const { device, profile, by, started, ended, state, consent, at } = test;
  const head = [
    `Installation test of ${device}`,
    `profile    ${profile}`,
    `started    ${new Date(started).toISOString()} by ${by}`,
    ...(ended === 0 ? [] : [`ended      ${new Date(ended).toISOString()}`]),
    ...(at === undefined ? [] : [`place      ${at.lat},${at.lon}, within ${at.radius_m} m`]),
    ...(consent === undefined ? [] : [`consent    ${consent}`]),
  ];
  return `${[...head, '', ...test.items.map(itemLine), '', `result     ${verdictOf(state, test.items)}`].join('\n')}\n`;
}

export function itemLine({ name, state, measured }: Item): string {
  return `[${MARKS[state]}] ${name.padEnd(10)} ${measured}`.trimEnd();
}

function verdictOf(state: InstallationTest['state'], items: readonly Item[]): string {
  const failed = items.filter((item) => item.state === 'failed').map(({ name }) => name);
  return failed.length === 0 ? state : `${state}: ${failed.join(', ')}`;
}
