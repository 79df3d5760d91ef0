import { spawnSync } from 'node:child_process';

/**
 * The tests of the stream run against a real redis-server. Where it is missing: installed with apt when this user may,
 * otherwise said plainly.
 */
const found = (): boolean => spawnSync('redis-server', ['--version']).status === 0;

if (!found()) {
  const root = process.getuid?.() === 0;
  const sudo = root ? [] : ['sudo', '-n'];
  const apt = (...args: string[]): boolean => {
    const [command = '', ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args];
    return spawnSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  };
  console.log('redis-server is missing: installing it with apt');
  // The package starts a service of its own where there is an init system; the tests start their own servers on free ports.
  const installed = (apt('install', '-y', 'redis-server') || (apt('update') && apt('install', '-y', 'redis-server'))) && found();
  if (!installed) {
    console.error(
      'The tests need redis-server and it could not be installed here. Install it: apt-get install redis-server (Debian, Ubuntu)',
    );
    process.exit(1);
  }
}
