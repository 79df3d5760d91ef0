import dgram from 'node:dgram';
import net, { isIPv6 } from 'node:net';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { placeOf } from '../base/wire/network.ts';
import type { ListenerConfig } from '../config/schema.ts';

/**
 * Below those that the system gives to outgoing connections: between this and the workers' listening, one of them could be given the
 * port.
 */
const LOWEST = 12_000;
const HIGHEST = 32_000;
/** Servers that start at the same time look in blocks of their own: what one has found, another could take before it is listened at. */
const BLOCK = 64;
const TRIES = 200;
/** Ports of the block that have been looked at. */
let looked = 0;

/**
 * Takes every configured port for a moment, alone, before the workers share it: with `reusePort` a second server on
 * the same port would not be refused but would silently get half of the devices. Port 0 becomes a real one here, so
 * that all workers use the same, and both transports of a codec.
 */
export async function claimPorts(listeners: readonly ListenerConfig[]): Promise<ListenerConfig[]> {
  const claimed: ListenerConfig[] = [];
  const hasIPv6 = await canListen('::');
  for (const wanted of listeners) {
    // A machine without IPv6 has IPv4 only.
    const listener = wanted.host === '::' && !hasIPv6 ? { ...wanted, host: '0.0.0.0' } : wanted;
    const isPair = (other: ListenerConfig): boolean => other.codec === listener.codec && other.transport !== listener.transport;
    const paired = listener.port === 0 ? claimed.find(isPair) : undefined;
    if (paired !== undefined) claimed.push({ ...listener, port: paired.port });
    else if (listener.port !== 0) claimed.push({ ...listener, port: await probe(listener, listener.port) });
    else {
      const taken = new Set(claimed.map(({ port }) => port));
      const others = listeners.filter((other) => other.port === 0 && isPair(other));
      claimed.push({ ...listener, port: await freePort([listener, ...others], taken) });
    }
  }
  return claimed;
}

async function canListen(host: string): Promise<boolean> {
  try {
    await probeTcp(host, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ports below this may need a privilege. */
const UNPRIVILEGED = 1024;

/**
 * What keeps these from being listened at, whichever programs run at the moment: an address that is not this machine's, a port that needs a
 * privilege. A port that is held is none: the server itself may hold it.
 */
export async function addressProblems(listeners: readonly ListenerConfig[]): Promise<{ index: number; problem: string }[]> {
  const problems: { index: number; problem: string }[] = [];
  const hasIPv6 = await canListen('::');
  for (const [index, listener] of listeners.entries()) {
    try {
      await probe(
        listener.host === '::' && !hasIPv6 ? { ...listener, host: '0.0.0.0' } : listener,
        listener.port < UNPRIVILEGED ? listener.port : 0,
      );
    } catch (error) {
      if (error instanceof AppError && error.code === 'PORT_IN_USE') continue;
      problems.push({ index, problem: messageOf(error) });
    }
  }
  return problems;
}

/** A port that is free for all of these. */
async function freePort(listeners: readonly ListenerConfig[], taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = LOWEST + ((BLOCK * process.pid + looked++) % (HIGHEST - LOWEST));
    if (taken.has(port)) continue;
    try {
      for (const listener of listeners) await probe(listener, port);
      return port;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PORT_IN_USE' || tries >= TRIES) throw error;
    }
  }
}

async function probe(listener: ListenerConfig, port: number): Promise<number> {
  const where = `${listener.transport.toUpperCase()} ${placeOf(listener.host, port)}`;
  try {
    return listener.transport === 'tcp' ? await probeTcp(listener.host, port) : await probeUdp(listener.host, port);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EADDRINUSE')
      throw new AppError(
        'PORT_IN_USE',
        `${where} (${listener.codec}) is held by another program; stop it, or set FIXGATE_LISTEN or listeners to another port`,
        error,
      );
    if (code === 'EACCES')
      throw new AppError('PORT_DENIED', `no permission to listen on ${where}; use a port above 1023 or grant CAP_NET_BIND_SERVICE`, error);
    throw new AppError('PORT_DENIED', `cannot listen on ${where} (${code}); check the host of this listener`, error);
  }
}

function probeTcp(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

function probeUdp(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    socket.once('error', reject);
    socket.bind({ port, address: host, exclusive: true }, () => {
      const bound = socket.address().port;
      socket.close(() => resolve(bound));
    });
  });
}
