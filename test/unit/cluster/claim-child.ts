/** Says which ports it has found for so many listeners: `claim-child.ts <listeners>`. */
import { claimPorts } from '../../../src/cluster/ports.ts';

const listener = { codec: 'h02', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 1000 } as const;
const claimed = await claimPorts(Array.from({ length: Number(process.argv[2]) }, () => listener));
process.send?.(claimed.map(({ port }) => port));
