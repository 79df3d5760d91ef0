/** The arguments of one command, read as Redis does; throws when a byte is left or missing. */
export function argumentsOf(bytes: Buffer): string[] {
  let at = 0;
  const line = (): string => {
    const end = bytes.indexOf('\r\n', at);
    const text = bytes.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  const count = Number(line().slice(1));
  const args = Array.from({ length: count }, () => {
    const length = line();
    if (!/^\$(0|[1-9]\d*)$/.test(length)) throw new Error(`no length: ${length}`);
    const size = Number(length.slice(1));
    const text = bytes.toString('utf8', at, at + size);
    at += size;
    if (bytes.toString('latin1', at, at + 2) !== '\r\n') throw new Error('an argument is longer than its length');
    at += 2;
    return text;
  });
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes are left`);
  return args;
}
