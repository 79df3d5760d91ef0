import cluster from 'node:cluster';
import net from 'node:net';

/**
 * The do-nothing server: what any Node server of this shape can reach at most. Cuts frames by their length, answers
 * with the number of records, reads nothing else, stores nothing. One cluster worker on a shared port, as ours.
 * Started with the port as its argument.
 */
const port = Number(process.argv[2]);

if (cluster.isPrimary) {
  cluster.fork();
  process.on('disconnect', () => process.exit(0));
  cluster.on('message', (_worker, message) => process.send?.(message));
} else {
  process.on('disconnect', () => process.exit(0));
  net
    .createServer({ noDelay: true }, serve)
    .listen({ port, host: '127.0.0.1', reusePort: true, backlog: 4096 }, () => process.send?.('listening'));
}

function serve(socket: net.Socket): void {
  let held = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let p = 0;
    const answers: number[] = [];
    while (bytes.length - p >= 2) {
      const w = bytes.readUInt16BE(p);
      if (w === 0 && bytes.length - p < 12) break;
      const length = w === 0 ? 12 + bytes.readUInt32BE(p + 4) : 2 + w;
      if (bytes.length - p < length) break;
      if (w === 0) answers.push(0, 0, 0, bytes[p + 9] ?? 0);
      else answers.push(1);
      p += length;
    }
    held = Buffer.from(bytes.subarray(p));
    if (answers.length > 0) socket.write(Uint8Array.from(answers));
  });
}
