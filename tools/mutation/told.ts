import { appendFileSync } from 'node:fs';

/** Each mutant as soon as it was judged: a run that is ended keeps what it has found. A plugin of Stryker. */
class Told {
  onMutantTested({ fileName, status, location, mutatorName, replacement }: Readonly<Record<string, unknown>>): void {
    const path = process.env['MUTANTS_TOLD'];
    if (path !== undefined) appendFileSync(path, `${JSON.stringify({ fileName, status, location, mutatorName, replacement })}\n`);
  }
}

export const strykerPlugins = [{ kind: 'Reporter', name: 'told', injectableClass: Told }];
