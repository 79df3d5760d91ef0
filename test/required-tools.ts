import { spawnSync } from 'node:child_process';

/**
 * Programs that the tests run for real, by Debian package. What is missing is installed with apt when this user may;
 * otherwise the line to type is printed and the tests do not start.
 * `nginx` is where Debian has it: /usr/sbin is not in the path of a user who is not root.
 */
const TOOLS: readonly {
  readonly command: string;
  readonly packageName: string;
  readonly why: string;
  readonly ask?: string | readonly string[];
}[] = [
  { command: 'redis-server', packageName: 'redis-server', why: 'streams and the state store' },
  { command: 'chromium-headless-shell', packageName: 'chromium-headless-shell', why: 'pages of the console and of attackers' },
  { command: '/usr/sbin/nginx', packageName: 'nginx', why: 'the reverse proxy of docs/http.md', ask: '-v' },
  { command: 'openssl', packageName: 'openssl', why: 'a certificate for that proxy', ask: 'version' },
  { command: 'promtool', packageName: 'prometheus', why: 'alerts and dashboard' },
  { command: 'systemd-analyze', packageName: 'systemd', why: 'the service of deploy/systemd' },
  { command: '/usr/bin/python3', packageName: 'python3-redis', why: 'the example of a consumer in Python', ask: ['-c', 'import redis'] },
  { command: 'zsh', packageName: 'zsh', why: 'its completion' },
  { command: 'fish', packageName: 'fish', why: 'its completion' },
  { command: 'unshare', packageName: 'util-linux', why: 'servers in network namespaces of their own' },
];

const isThere = ({ command, ask = '--version' }: { readonly command: string; readonly ask?: string | readonly string[] }): boolean =>
  spawnSync(command, [ask].flat(), { stdio: 'ignore' }).status === 0;

function apt(...args: string[]): boolean {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const [command = '', ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args];
  return spawnSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
}

const missing = TOOLS.filter((tool) => !isThere(tool));
if (missing.length > 0) {
  const packages = missing.map(({ packageName }) => packageName);
  console.log(`installing with apt what the tests need: ${packages.join(', ')}`);
  // A package with a service may start it where there is an init system; the tests start their own servers on free ports.
  if (!apt('install', '-y', '--no-install-recommends', ...packages) && apt('update'))
    apt('install', '-y', '--no-install-recommends', ...packages);
  const lacking = missing.filter((tool) => !isThere(tool));
  for (const { command, why } of lacking) console.error(`missing: ${command} (${why})`);
  if (lacking.length > 0) {
    console.error(`Install it and run the tests again: apt-get install ${lacking.map(({ packageName }) => packageName).join(' ')}`);
    process.exit(1);
  }
}
