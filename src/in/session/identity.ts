/** Longest device id kept: an IMEI has 15 digits, vendor ids are shorter, a MAC-like id has 17. */
const MAX_ID = 32;

/**
 * Is this what a device id may look like, as the codec gives it: 3 to 32 letters, digits, `-`, `_` or `:`? Ids become
 * Redis keys, file text and JSON, so nothing else gets in.
 */
export function isDeviceId(id: string): boolean {
  if (id.length < 3 || id.length > MAX_ID) return false;
  for (let i = 0; i < id.length; i++) {
    const c = id.charCodeAt(i);
    const letter = (c >= 97 && c <= 122) || (c >= 65 && c <= 90);
    if (!letter && !(c >= 48 && c <= 58) && c !== 45 && c !== 95) return false;
  }
  return true;
}
