import type { SecretUrl } from '../../base/secret.ts';
import type { Locator, Place, Surroundings } from './places.ts';

const TIMEOUT_MS = 10_000;

/** A service that is asked like Ichnaea's `v1/geolocate`: BeaconDB, Mozilla's software, and the one of Google. */
export function httpLocator(url: SecretUrl): Locator {
  return {
    async locate(around): Promise<Place | undefined> {
      const response = await fetch(url.reveal(), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(questionOf(around)),
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: 'error',
      });
      const body: unknown = await response.json();
      if (response.status === 404) return undefined;
      if (!response.ok) throw new Error(`status ${response.status}`);
      return placeOf(body);
    },
  };
}

/** Throws when that is not an answer. */
function placeOf(body: unknown): Place {
  const location = Object(Reflect.get(Object(body), 'location'));
  const number = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);
  const [lat, lon, accuracy] = [number(location.lat), number(location.lng), number(Reflect.get(Object(body), 'accuracy'))];
  if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 180 && accuracy >= 0)) throw new Error('not an answer of a locator');
  return { lat, lon, accuracy_m: Math.round(accuracy) };
}

function questionOf({ cells, wifi }: Surroundings): object {
  const signal = (rssi: number): object => (rssi === 0 ? {} : { signalStrength: rssi });
  return {
    considerIp: false,
    fallbacks: { ipf: false },
    cellTowers: cells.map(({ mcc, mnc, lac, cid, rssi }) => ({
      mobileCountryCode: mcc,
      mobileNetworkCode: mnc,
      locationAreaCode: lac,
      cellId: cid,
      ...signal(rssi),
    })),
    wifiAccessPoints: wifi.map(({ mac, rssi }) => ({ macAddress: mac, ...signal(rssi) })),
  };
}
