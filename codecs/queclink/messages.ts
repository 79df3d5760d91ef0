import { REPORTS, UNKNOWN_REPORT } from './report.ts';

export const TEXT_MESSAGE = 'text_message';

/** Vendor's names; a binary report has the name of the text that it stands for. */
export const MESSAGES: readonly string[] = [
  ...REPORTS.map((report) => report.name),
  UNKNOWN_REPORT.name,
  'RSP',
  'BSP',
  'EVT',
  'BVT',
  'INF',
  'BNF',
  'HBD',
  'ACK',
  'NACK',
  'CRD',
  'BRD',
  'LGN',
  'CAN',
  'DAT',
  'ATI',
  'record',
  'heartbeat',
  TEXT_MESSAGE,
];
