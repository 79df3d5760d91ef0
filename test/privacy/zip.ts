import { crc32, inflateRawSync } from 'node:zlib';

/** The files of a zip, read from its central directory (APPNOTE 4.3.12) as any unzip does; 64-bit sizes are not for tests. */
export function unzipped(zip: Buffer): Map<string, string> {
  const end = zip.lastIndexOf(Buffer.from('504b0506', 'hex'));
  if (end < 0) throw new Error('no end of a central directory: the zip is broken off');
  const count = zip.readUInt16LE(end + 10);
  const files = new Map<string, string>();
  for (let at = zip.readUInt32LE(end + 16), n = 0; n < count; n++) {
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    const packed = zip.readUInt32LE(at + 20);
    const local = zip.readUInt32LE(at + 42);
    const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const body = zip.subarray(from, from + packed);
    const content = zip.readUInt16LE(at + 10) === 8 ? inflateRawSync(body) : body;
    if (crc32(content) !== zip.readUInt32LE(at + 16)) throw new Error(`the checksum of ${name} is wrong`);
    files.set(name, content.toString('utf8'));
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return files;
}

/** The objects of an NDJSON file. */
export function objects(text: string | undefined): Record<string, unknown>[] {
  return (text ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Record<string, unknown> => JSON.parse(line));
}
