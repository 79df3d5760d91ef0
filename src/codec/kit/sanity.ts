import { isPlainText } from '../../base/wire/text.ts';
import { type Codec, EVENTS, FRAME_KIND_NAMES, FrameKind, type FrameResult } from '../index.ts';

/** Is every value of a decoded frame in its range, and every name in its list? */

/** The first value of a result that is out of its range or list, '' when all are in order. */
export function insane(codec: Codec, out: FrameResult, start: number, end: number): string {
  const kind = FRAME_KIND_NAMES[out.kind];
  const names = `${kind ?? `kind ${out.kind}`} ${out.name}`;
  if (kind === undefined) return names;
  return wrongName(codec, out) || wrongText(out) || wrongRows(codec, out, names, start, end);
}

/** A text that the codec's `readReply` makes and that is not plain, '' when all are. */
export function unplainReading(codec: Codec, out: FrameResult): string {
  if (out.kind !== FrameKind.Reply || codec.readReply === undefined) return '';
  const bad = Object.entries(codec.readReply(undefined, out.replyText)?.values ?? {}).find(
    ([, value]) => typeof value === 'string' && !isPlainText(value),
  );
  return bad === undefined ? '' : `readReply makes ${bad[0]} ${JSON.stringify(bad[1])}, with control characters or lone surrogates`;
}

function wrongName(codec: Codec, out: FrameResult): string {
  if (out.kind === FrameKind.Malformed) {
    if (!codec.reasons.includes(out.reason)) return `reason "${out.reason}" is not in the codec's reasons`;
    if (out.rows > 0) return 'a malformed frame has rows';
  } else if (!codec.messages.includes(out.name)) return `name "${out.name}" is not in the codec's messages`;
  if (out.damaged !== '' && !codec.reasons.includes(out.damaged)) return `damaged "${out.damaged}" is not in the codec's reasons`;
  return '';
}

function wrongText(out: FrameResult): string {
  if (!/^[\x21-\x7e]{0,64}$/.test(out.deviceId)) return `device id ${JSON.stringify(out.deviceId)}`;
  for (const text of [out.replyText, ...out.texts])
    if (!isPlainText(text)) return `the text ${JSON.stringify(text)} has control characters or lone surrogates: hand it in with attrText`;
  if (!Number.isInteger(out.replyKey) || out.replyKey < -1) return `reply key ${out.replyKey}`;
  for (const ticket of [out.ticketA, out.ticketB, out.ticketC]) if (!Number.isFinite(ticket)) return `ticket ${ticket}`;
  return '';
}

/** The rows, and what each has of the attributes, cells and access points: between where the one before it ends and where it does. */
function wrongRows(codec: Codec, out: FrameResult, names: string, start: number, end: number): string {
  let texts = 0;
  let attr = 0;
  let cell = 0;
  let wifi = 0;
  for (let r = 0; r < out.rows; r++) {
    const label = `${names}, row ${r + 1}`;
    const [attrEnd, cellEnd, wifiEnd] = [valueAt(out.attrEnd, r), valueAt(out.cellEnd, r), valueAt(out.wifiEnd, r)];
    const column = wrongColumn(out, r, start, end);
    if (column !== '') return `${label}: ${column}`;
    if (attrEnd < attr || cellEnd < cell || wifiEnd < wifi) return `${label}: attributes, cells or access points end before they begin`;
    let wrong = '';
    for (; attr < attrEnd && wrong === ''; attr++) {
      wrong = wrongAttribute(codec, out, attr);
      if (codec.attributes.get(valueAt(out.attrId, attr))?.type === 'text') texts++;
    }
    for (; cell < cellEnd && wrong === ''; cell++) wrong = wrongCell(out, cell);
    for (; wifi < wifiEnd && wrong === ''; wifi++) wrong = wrongAccessPoint(out, wifi);
    if (wrong !== '') return `${label}: ${wrong}`;
  }
  if (attr !== out.attrs || cell !== out.cells || wifi !== out.wifis) return `${names}: attributes, cells or access points of no row`;
  if (texts !== out.texts.length) return `${names}: a text under an id that the codec does not declare as text`;
  return '';
}

function wrongAttribute(codec: Codec, out: FrameResult, attr: number): string {
  const id = valueAt(out.attrId, attr);
  const value = valueAt(out.attrNum, attr);
  const known = codec.attributes.get(id);
  if (known === undefined && codec.attributePrefix === 'attr_')
    return `attribute ${id} has no name (a codec that passes unknown ids on says so with an attributePrefix of its own)`;
  if (known?.type === 'text' && out.texts[value] === undefined) return `attribute ${id} is text and holds ${value}`;
  if (known?.type === 'boolean' && value !== 0 && value !== 1) return `attribute ${known.name} is boolean and holds ${value}`;
  return id < 0 || !Number.isFinite(value) ? `attribute ${id} holds ${value}` : '';
}

function wrongCell(out: FrameResult, cell: number): string {
  const signal = valueAt(out.cellRssiDbm, cell);
  const mcc = valueAt(out.cellMcc, cell);
  const cid = valueAt(out.cellCid, cell);
  if (mcc < -1 || valueAt(out.cellMnc, cell) < -1 || valueAt(out.cellLac, cell) < -1 || !(cid >= -1 && cid <= 2 ** 36))
    return `cell ${mcc} ${cid}`;
  return signal > 0 || signal < -200 ? `cell signal ${signal} dBm` : '';
}

function wrongAccessPoint(out: FrameResult, wifi: number): string {
  const mac = out.wifiMac[wifi] ?? '';
  const signal = valueAt(out.wifiRssiDbm, wifi);
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) return `access point ${JSON.stringify(mac)}`;
  return signal > 0 || signal < -200 ? `access point signal ${signal} dBm` : '';
}

function wrongColumn(out: FrameResult, r: number, start: number, end: number): string {
  const latitude = valueAt(out.latitude, r);
  const longitude = valueAt(out.longitude, r);
  if (Number.isNaN(latitude) !== Number.isNaN(longitude)) return `half a place: ${latitude}, ${longitude}`;
  for (const [name, value, least, most] of [
    ['latitude', latitude, -90, 90],
    ['longitude', longitude, -180, 180],
    ['altitudeM', valueAt(out.altitudeM, r), -32768, 100_000],
    ['speedKmh', valueAt(out.speedKmh, r), 0, 100_000],
    ['courseDeg', valueAt(out.courseDeg, r), 0, 360],
    ['hdop', valueAt(out.hdop, r), 0, 10_000],
    ['time', valueAt(out.time, r), -8.64e15, 8.64e15],
  ] as const)
    if (!Number.isNaN(value) && !(value >= least && value <= most)) return `${name} ${value}`;
  if (valueAt(out.satellites, r) < -1 || valueAt(out.satellites, r) > 255) return `satellites ${valueAt(out.satellites, r)}`;
  if (valueAt(out.valid, r) > 1) return `valid ${valueAt(out.valid, r)}`;
  if (valueAt(out.valid, r) === 1 && Number.isNaN(latitude)) return 'valid without a place';
  if (valueAt(out.flags, r) > 15) return `flags ${valueAt(out.flags, r)}`;
  if (valueAt(out.event, r) >= EVENTS.length) return `event ${valueAt(out.event, r)}`;
  const from = valueAt(out.from, r);
  const to = valueAt(out.to, r);
  if (from < start || to > end || from >= to) return `its own bytes are [${from}, ${to}) of the frame [${start}, ${end})`;
  return '';
}

function valueAt(column: ArrayLike<number>, index: number): number {
  return column[index] ?? Number.NaN;
}
