import { Redis } from 'ioredis';
import { systemClock } from '../../src/base/clock.ts';
import { Latency } from '../../src/simulate/latency.ts';

/**
 * A backend service: reads the stream of positions as they come and measures the age of each, from the device's clock
 * (all on this machine) to here. Arguments: port of the Redis server. Reports and ends on any message.
 */
const redis = new Redis({ host: '127.0.0.1', port: Number(process.argv[2]) });
const latency = new Latency();
process.on('message', () => process.send?.(latency.toJSON(), undefined, undefined, () => process.exit(0)));
process.on('disconnect', () => process.exit(1));

let last = '$';
process.send?.('reading');
for (;;) {
  const found = await redis.xread('COUNT', 1000, 'BLOCK', 200, 'STREAMS', 'fixgate:positions', last);
  const now = systemClock.now();
  for (const [id, fields] of found?.[0]?.[1] ?? []) {
    last = id;
    latency.add(Math.max(0, now - Number(fields[fields.indexOf('time') + 1])));
  }
}
