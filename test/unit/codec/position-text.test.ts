import { describe, expect, it } from 'vitest';
import { readPosition } from '../../../src/codec/index.ts';

describe('a position in a text', () => {
  it.each([
    ['Lat:N22.577058,Lon:E113.916616', 22.577058, 113.916616],
    ['Lat:S22.577058,Lon:W113.916616', -22.577058, -113.916616],
    ['Lat:N0.000000,Lon:E9.450000', 0, 9.45],
    ['Lat:N51.480000,Lon:E0.000000', 51.48, 0],
    ['Lat:N90.000000,Lon:E180.000000', 90, 180],
  ])('%s', (text, latitude, longitude) => expect(readPosition(text)).toMatchObject({ latitude, longitude }));

  it.each(['Lat:N0.000000,Lon:E0.000000', 'Lat:N90.000001,Lon:E9.000000', 'Lat:N45.000000,Lon:E180.000001', 'Lat:N45.000000', 'no fix'])(
    'none in %s',
    (text) => expect(readPosition(text)).toBeUndefined(),
  );
});
