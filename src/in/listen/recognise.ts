import type { Bytes } from '../../base/wire/index.ts';
import type { Codec } from '../../codec/index.ts';

/** Bytes that settle every question about who is talking. */
export const RECOGNISE_BYTES = 32;

/** The codec whose protocol the first bytes speak, undefined while it may still be several or more bytes are needed, null if no codec knows them. */
export function recogniseCodec(codecs: readonly Codec[], bytes: Bytes, end: number): Codec | undefined | null {
  let open = false;
  for (const codec of codecs) {
    const verdict = verdictOf(codec, bytes, end);
    if (verdict === true) return codec;
    if (verdict === undefined) open = true;
  }
  return open && end < RECOGNISE_BYTES ? undefined : null;
}

/** A codec that throws does not know these bytes: an unknown device must not be able to end the process through it. */
function verdictOf(codec: Codec, bytes: Bytes, end: number): boolean | undefined {
  try {
    return codec.recognise(bytes, 0, end);
  } catch {
    return false;
  }
}

type Foreign = 'http' | 'tls' | 'ssh' | 'proxy' | 'rdp' | 'redis' | 'sip';

const FOREIGN: readonly (readonly [name: Foreign, prefix: string])[] = [
  ['http', 'GET '],
  ['http', 'POST '],
  ['http', 'PUT '],
  ['http', 'HEAD '],
  ['http', 'OPTIONS '],
  ['http', 'CONNECT '],
  ['http', 'PRI * HTTP'],
  ['tls', '\x16\x03'],
  ['ssh', 'SSH-'],
  ['proxy', 'PROXY '],
  ['rdp', '\x03\x00\x00'],
  ['redis', '*1\r\n'],
  ['sip', 'REGISTER sip:'],
  ['sip', 'INVITE sip:'],
];

/** Name of a protocol that trackers do not use, by its first bytes, or ''. */
export function foreignProtocol(bytes: Bytes, end: number): Foreign | '' {
  for (const [name, prefix] of FOREIGN) {
    if (end < prefix.length) continue;
    let p = 0;
    while (p < prefix.length && bytes[p] === prefix.charCodeAt(p)) p++;
    if (p === prefix.length) return name;
  }
  return '';
}
