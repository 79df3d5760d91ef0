import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { basename, join } from 'node:path';

/** Loaded into each process that `profile.ts` measures: writes what it did, from its start to its end, as a V8 profile. */
const directory = process.env['PROFILE_DIR'];
const role = /(?:roles\/(\w+)-process|bin\/(fixgate))\.[jt]s$/.exec(process.argv[1] ?? '');
if (directory !== undefined && role !== null) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.start');
  process.once('exit', () =>
    session.post('Profiler.stop', (error, { profile }) => {
      if (error !== null) return;
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `${basename(role[1] ?? 'supervisor')}.${process.pid}.cpuprofile`), JSON.stringify(profile));
    }),
  );
}
