import dgram from 'node:dgram';
import net from 'node:net';

/**
 * Ports below those that the system gives to outgoing connections. A server here is down again and again: meanwhile, one
 * of the many connections around it must not be given its port.
 */
const LOWEST = 12_000;
const HIGHEST = 32_000;

/** A port that is free on TCP and UDP. */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if ((await freeTcp(port)) && (await freeUdp(port))) return port;
  }
}

function freeTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '0.0.0.0', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

function freeUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = dgram.createSocket('udp4');
    probe.once('error', () => probe.close(() => resolve(false)));
    probe.bind({ port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
