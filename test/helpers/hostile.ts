import dgram from 'node:dgram';
import net from 'node:net';
import { Random } from '../../src/simulate/random.ts';
import { pause } from '../support/wait.ts';

const TLS_HELLO = '16030100c8010000c403035b2d0f0e';
/** Heads that the splitters believe, without the rest. */
const HALF_FRAMES = ['000f33353633', '00000000000003ff0801', '78780d01', '79790120', '2a48512c33353633', '2441060116601245', '78781f12'];

/**
 * Strangers on every port, TCP and UDP, until the time is over: random bytes, HTTP, TLS, half frames that stay half, one
 * byte at a time, and connections that say nothing. Returns how many TCP connections were made; all are ended.
 */
export async function attack(ports: readonly number[], ms: number, seed: number): Promise<number> {
  const random = new Random(seed);
  const next = (): number => random.next();
  const until = performance.now() + ms;
  const sockets = new Set<net.Socket>();
  let made = 0;
  const udp = dgram.createSocket('udp4');
  const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => Math.floor(next() * 256)));
  const kinds: (() => Buffer)[] = [
    () => noise(1 + Math.floor(next() * 4000)),
    () => Buffer.from('GET /shell?cd+/tmp HTTP/1.1\r\nHost: a\r\n\r\n'),
    () => Buffer.from(TLS_HELLO, 'hex'),
    () => Buffer.from(HALF_FRAMES[Math.floor(next() * HALF_FRAMES.length)] ?? '', 'hex'),
    () => Buffer.alloc(0),
  ];
  while (performance.now() < until) {
    for (const port of ports) {
      const bytes = kinds[Math.floor(next() * kinds.length)]?.() ?? noise(10);
      if (bytes.length > 0) udp.send(bytes, port, '127.0.0.1');
      if (sockets.size > 400) continue;
      const socket = net.connect({ port, host: '127.0.0.1' });
      made++;
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      if (next() < 0.2) {
        let p = 0;
        const drip = setInterval(
          () => (p < bytes.length && !socket.destroyed ? socket.write(bytes.subarray(p, ++p)) : clearInterval(drip)),
          1000,
        );
        socket.on('close', () => clearInterval(drip));
      } else {
        socket.write(bytes);
        // Some leave at once, some after a while, some stay until they are sent away.
        if (next() < 0.5) void pause(next() * 2000).then(() => socket.destroy());
      }
    }
    await pause(10);
  }
  udp.close();
  for (const socket of sockets) socket.destroy();
  return made;
}
