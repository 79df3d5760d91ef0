import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Server } from '../helpers/server.ts';
import { killedSupervisor } from '../lock/killed-supervisor.ts';

it('a supervisor that is killed leaves no process and no lock behind, 100 times', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-killed-'));
  const servers: Server[] = [];
  await killedSupervisor(dataDir, 100, (server) => {
    servers.push(server);
    return server;
  });
  for (const server of servers) expect(await server.stop()).toBe(0);
  rmSync(dataDir, { recursive: true, force: true });
});
