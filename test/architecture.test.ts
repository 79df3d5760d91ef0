import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FOLDERS, FREE, LAYERS, OPEN, ROOMS, UPWARD } from '../tools/architecture/rooms.ts';

/** Imports follow the law of tools/architecture/rooms.ts; the language is the one of STYLE.md. */

/** Const objects that name kinds: as good as types. */
const KINDS = new Set(['FrameKind', 'Settled', 'FRAME_KIND_NAMES', 'RowFlag', 'ROW_FLAG_NAMES']);

const SOCKET_MODULES = /^node:(net|dgram|tls|http|https|http2)$/;
/** Where sockets may be opened, or addresses parsed. */
const SOCKET_FILES = [
  /^src\/in\/listen\//,
  /^src\/embedded\//,
  /^src\/api\//,
  /^src\/simulate\//,
  // A device's networks are matched against where it connects from.
  /^src\/fleet\/registry\/networks\.ts$/,
  // One takes every port for a moment before the workers share it, the other hands listening sockets over.
  /^src\/cluster\/(ports|succession)\.ts$/,
];

/** Folders of src whose folders are rooms. */
const GROUPS = ['base', 'codec', 'fleet', 'in', 'out'];

const FORBIDDEN_NAMES = /(^|[/-])(utils?|helpers?|common|misc|manager)(\.ts$|[/-])/;

interface Import {
  readonly from: string;
  /** Names imported as values; empty for `import type` and for lists of types. `*` for all or for the effect. */
  readonly values: readonly string[];
}

/** The import and re-export statements of a file, and its dynamic imports. Works on `code`, strings kept. */
function importsOf(source: string): Import[] {
  const found: Import[] = [];
  const statement = /^(?:import|export)\s+(type\s+)?([^;'"]*?)\s*from\s*'([^']+)'|^import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;
  for (const match of source.matchAll(statement)) {
    const [, type, clause = '*', from = match[4] ?? match[5] ?? ''] = match;
    const listed = /\{([^}]*)\}/.exec(clause);
    const names = (listed?.[1] ?? '').split(',').map((name) => name.trim());
    const rest = clause.replace(/\{[^}]*\}/, '').replace(/[\s,]/g, '');
    const values = names.filter((name) => name !== '' && !name.startsWith('type '));
    found.push({ from, values: type !== undefined ? [] : [...values, ...(rest === '' ? [] : [rest])] });
  }
  return found;
}

/** The text without comments, and with the contents of strings, templates and regular expressions blanked. Lines are kept. */
function code(source: string): string {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|\$\{(?:[^{}`]|\{[^{}]*\}|`(?:\\.|[^`\\])*`)*\}|[^`\\])*`|(?<=[=(,:[!&|?{};\n]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;
  return source.replace(token, (text) => {
    const lines = '\n'.repeat(text.split('\n').length - 1);
    if (text.startsWith('/*') || text.startsWith('//')) return lines === '' ? ' ' : lines;
    // What a template computes is code, and is looked at; the rest of it is not.
    const computed = text.startsWith('`') ? [...text.matchAll(/\$\{((?:[^{}]|\{[^{}]*\})*)\}/g)].map((part) => part[1]).join(' ; ') : '';
    return `''${computed === '' ? '' : `+(${computed})`}${lines}`;
  });
}

/** The room of a file given from the repository root. */
function roomOf(file: string): string {
  const [top, first = '', second = '', third] = file.split('/');
  if (top === 'codecs') return second === '' ? 'codecs' : `codecs/${first}`;
  if (GROUPS.includes(first) && third !== undefined) return `${first}/${second}`;
  return first.replace(/\.ts$/, '');
}

/** The folder of src that a file is in, its name for a file of src itself, `codecs` for a codec. */
function folderOf(file: string): string {
  const [top = '', first = ''] = file.split('/');
  return top === 'src' ? first.replace(/\.ts$/, '') : top;
}

/** `from` of an import in `file`, as a path from the repository root. */
function resolved(file: string, from: string): string {
  const parts = file.split('/').slice(0, -1);
  for (const part of from.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** Imports of a file, types too, that go to a room above its own. */
function upwardImports(file: string, source: string): { file: string; step: string }[] {
  const placeOf = (room: string): number => {
    const bare = room.replace(/^codecs\/.*/, 'codecs');
    const place = LAYERS.findIndex((layer) => layer.includes(bare));
    return place < 0 ? LAYERS.length : place;
  };
  const room = roomOf(file);
  return importsOf(source).flatMap(({ from }) => {
    const target = from.startsWith('.') ? roomOf(resolved(file, from)) : room;
    const step = `${room} → ${target}`.replaceAll(/codecs\/[a-z0-9-]+/g, 'codecs');
    return placeOf(target) < placeOf(room) ? [{ file, step }] : [];
  });
}

/** Entries of a row that an import needs, or may use. */
function permissionsFor(file: string, from: string): string[] {
  if (!from.startsWith('.')) return [`npm:${packageOf(from)}`];
  const target = resolved(file, from);
  return [target, roomOf(target), `${roomOf(target)} types`];
}

function packageOf(from: string): string {
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/');
}

function importViolations(file: string, source: string): string[] {
  const room = roomOf(file);
  const isCodec = room.startsWith('codecs');
  const allowed = FREE.includes(room) ? undefined : ROOMS[isCodec ? 'codecs' : room]?.imports;
  if (allowed === undefined && !FREE.includes(room)) return [`${file}: the room "${room}" is not in the table`];
  const problems: string[] = [];
  for (const { from, values } of importsOf(source)) {
    const complain = (why: string): void => void problems.push(`${file} imports ${from}: ${why}`);
    if (from.startsWith('node:')) {
      if (isCodec) complain('a codec is pure');
      else if (SOCKET_MODULES.test(from) && values.length > 0 && !SOCKET_FILES.some((place) => place.test(file)))
        complain('no sockets in this room');
    } else if (!from.startsWith('.')) {
      if (allowed !== undefined && !allowed.includes(`npm:${packageOf(from)}`)) complain(`not a package of the room ${room}`);
    } else {
      if (!from.endsWith('.ts')) complain('must end in .ts');
      const target = resolved(file, from);
      const there = roomOf(target);
      if (there === room || allowed === undefined) continue;
      if (isCodec) {
        if (!['src/codec/index.ts', 'src/base/wire/index.ts'].includes(target) && target !== 'codecs/vocabulary.ts')
          complain('codecs import src/codec/index.ts and src/base/wire/index.ts only');
        continue;
      }
      if (OPEN.includes(there) || allowed.includes(there) || allowed.includes(target)) continue;
      if (there.startsWith('codecs/') && file === 'src/codec/builtin.ts') continue;
      if (allowed.includes(`${there} types`)) {
        const real = values.filter((name) => !KINDS.has(name));
        if (real.length > 0) complain(`only types of ${there} may be imported into ${room}, not ${real.join(', ')}`);
      } else complain(`${room} may not import ${there}`);
    }
  }
  return problems;
}

function languageViolations(file: string, source: string): string[] {
  const problems: string[] = [];
  const text = code(source)
    .replace(/^(import|export)\s+(type\s+)?(\*|\{[^}]*\}|[\w*,\s{}]+?)\s*(as\s+\w+\s*)?from\s*''/gm, '')
    .replace(/^export\s*\{[^}]*\}/gm, '');
  const look = (pattern: RegExp, what: string): void => {
    for (const match of text.matchAll(pattern))
      problems.push(`${file}:${text.slice(0, match.index).split('\n').length}: ${what} (${match[0].trim()})`);
  };
  look(/[\w)\]}'"]\s+as\s+(?!const\b)[\w({['"]+/g, 'a cast');
  look(/(?<![\w.'"])any(?=\s*[\])>,;=|&)}\n])/g, 'any');
  look(/\benum\s+\w+\s*\{|\bnamespace\s+\w+/g, 'enum or namespace');
  if (file !== 'src/base/clock.ts')
    look(/\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\s*\)|\bprocess\.hrtime\b/g, 'the time is read in clock.ts only');
  if (file.startsWith('codecs/') || file.startsWith('src/base/wire/')) {
    look(/[\w)]!(?!=)(?=[\s.;,)\]([+\-*/&|<>?:])/g, '! on something that is not an element');
  } else look(/[\w)\]]!(?!=)(?=[\s.;,)\]([+\-*/&|<>?:])/g, '! outside wire and codecs');
  if (file.startsWith('codecs/'))
    look(
      /\bMath\.random\b|\bset(Timeout|Interval|Immediate)\b|\bprocess\.|\bconsole\.|\bfetch\(|\bBuffer\b|\.subarray\(|\bawait\b/g,
      'a codec is synchronous and pure',
    );
  return problems;
}

/** Files that import each other's values in a ring: who of them comes first would depend on the entry. */
function rings(files: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'open') found.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (state.has(file)) return;
    state.set(file, 'open');
    const source = files.get(file) ?? '';
    for (const { from, values } of importsOf(source))
      if (from.startsWith('.') && values.length > 0) visit(resolved(file, from), [...path, file]);
    state.set(file, 'done');
  };
  for (const file of files.keys()) visit(file, []);
  return found;
}

const ROOT = new URL('../', import.meta.url);
const FILES = new Map(
  ['src', 'codecs'].flatMap((top) =>
    readdirSync(new URL(top, ROOT), { recursive: true, encoding: 'utf8' })
      .map((name) => `${top}/${name}`)
      .filter((name) => name.endsWith('.ts'))
      .sort()
      .map((name): [string, string] => [name, readFileSync(new URL(name, ROOT), 'utf8')]),
  ),
);

function all(check: (file: string, source: string) => string[]): string[] {
  return [...FILES].flatMap(([file, source]) => check(file, source));
}

/** What a failure names is to be changed, or its row there; src/README.md is made from the rows. */
const ROWS = 'see ROOMS in tools/architecture/rooms.ts; after a change of it npm run generate:docs';
const PLACES = 'see LAYERS and FOLDERS in tools/architecture/rooms.ts';

describe('the rooms', () => {
  it('import only what the table allows', () => {
    expect(all(importViolations), ROWS).toEqual([]);
  });

  it('have no permission that no import uses', () => {
    const used = new Map(Object.entries(ROOMS).map(([room, { imports }]) => [room, new Set(imports)]));
    for (const [file, source] of FILES) {
      const room = roomOf(file).startsWith('codecs') ? 'codecs' : roomOf(file);
      for (const { from } of importsOf(source)) for (const permission of permissionsFor(file, from)) used.get(room)?.delete(permission);
    }
    const idle = [...used].flatMap(([room, unused]) => [...unused].map((permission) => `${room}: ${permission}`));
    expect(idle, ROWS).toEqual([]);
  });

  it('import downwards only', () => {
    const upward = [...FILES].flatMap(([file, source]) => upwardImports(file, source));
    const wrong = upward.filter(({ step }) => !UPWARD.includes(step)).map(({ file, step }) => `${file}: ${step}`);
    expect(wrong, PLACES).toEqual([]);
    expect(UPWARD.filter((exception) => !upward.some(({ step }) => step === exception))).toEqual([]);
  });

  it('are in folders that import downwards only', () => {
    const upward = [...FILES].flatMap(([file, source]) => {
      const from = folderOf(file);
      return importsOf(source)
        .map((one) => folderOf(one.from.startsWith('.') ? resolved(file, one.from) : file))
        .filter((to) => to !== from && FOLDERS.indexOf(to) < FOLDERS.indexOf(from))
        .map((to) => `${file}: ${from} → ${to}`);
    });
    const wrong = upward.filter((one) => !one.endsWith('codec → codecs'));
    expect(wrong, PLACES).toEqual([]);
    const folders = new Set([...FILES.keys()].map(folderOf).filter((folder) => folder !== 'codecs'));
    expect([...folders].toSorted(), PLACES).toEqual(FOLDERS.toSorted());
  });

  it('have one place each in the layers', () => {
    const rooms = new Set(
      [...FILES.keys()].map((file) => roomOf(file).replace(/^codecs\/.*/, 'codecs')).filter((room) => !OPEN.includes(room)),
    );
    expect(LAYERS.flat().toSorted(), PLACES).toEqual([...rooms].toSorted());
  });

  it('leave the roles to `fixgate serve`', () => {
    const users = [...FILES].filter(([file, source]) =>
      importsOf(source).some(({ from }) => from.startsWith('.') && roomOf(file) !== 'roles' && roomOf(resolved(file, from)) === 'roles'),
    );
    expect(users.map(([file]) => file)).toEqual(['src/cli/serve.ts']);
  });

  it('have no ring of values', () => {
    expect(rings(FILES)).toEqual([]);
  });

  it('have files with names that say something', () => {
    expect([...FILES.keys()].filter((file) => FORBIDDEN_NAMES.test(file))).toEqual([]);
    expect([...FILES.keys()].filter((file) => !/^[a-z0-9/-]+(\.d)?\.ts$/.test(file))).toEqual([]);
  });

  it('keep to the language of the style guide', () => {
    expect(all(languageViolations)).toEqual([]);
  });
});

describe('the checker itself', () => {
  it.each([
    ['src/base/wire/read.ts', "import { x } from '../../codec/index.ts';"],
    ['src/codec/frame/splitter.ts', "import { FrameResult } from '../index.ts';"],
    ['src/codec/frame/splitter.ts', "import {\n  type Codec,\n  defineCodec,\n} from '../index.ts';"],
    ['src/in/session/session.ts', "import net from 'node:net';"],
    ['src/codec/kit/feed.ts', "import { Journal } from '../../journal/journal.ts';"],
    ['src/codec/kit/feed.ts', "export { Journal } from '../../journal/journal.ts';"],
    ['src/codec/kit/feed.ts', "const x = await import('../../journal/journal.ts');"],
    ['src/codec/kit/feed.ts', "import '../../journal/journal.ts';"],
    ['src/in/intake/intake.ts', "import { x } from '../ack/outbox';"],
    ['src/journal/journal.ts', "import pino from 'pino';"],
    ['src/out/sink/redis-stream/sink.ts', "import { x } from '../../ship/shipper.ts';"],
    ['src/out/ship/loop.ts', "import { x } from '../sink/clickhouse/sink.ts';"],
    ['src/codec/registry.ts', "import toy from '../../codecs/toy/index.ts';"],
    ['src/nowhere/x.ts', ''],
    ['codecs/gt06/decode.ts', "import { u16be } from '../../src/base/wire/read.ts';"],
    ['codecs/gt06/decode.ts', "import { x } from '../h02/decode-text.ts';"],
    ['codecs/gt06/decode.ts', "import { readFileSync } from 'node:fs';"],
    ['codecs/gt06/decode.ts', "import { AppError } from '../../src/base/errors.ts';"],
  ])('refuses in %s: %s', (file, source) => {
    expect(importViolations(file, source)).toHaveLength(1);
  });

  it.each([
    [
      'src/codec/frame/splitter.ts',
      "import type { StreamDialect } from '../index.ts';\nimport { type Codec, FrameKind } from '../index.ts';",
    ],
    ['src/in/listen/tcp.ts', "import net from 'node:net';\nimport { AppError } from '../../base/errors.ts';"],
    [
      'src/out/sink/clickhouse/sink.ts',
      "import { x } from './encode.ts';\nimport type { Sink } from '../sink.ts';\nimport { createClient } from '@clickhouse/client';",
    ],
    ['codecs/gt06/decode.ts', "import { u16be } from '../../src/base/wire/index.ts';\nimport { x } from './messages.ts';"],
  ])('allows in %s: %s', (file, source) => {
    expect(importViolations(file, source)).toEqual([]);
  });

  it.each([
    ['src/in/ack/outbox.ts', 'const x = y as string;'],
    ['src/in/ack/outbox.ts', 'const x = <T>(y as unknown as T);'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source that is looked at
    ['src/in/ack/outbox.ts', 'const x = `${y as string}`;'],
    ['src/in/ack/outbox.ts', 'let x: any;'],
    ['src/in/ack/outbox.ts', 'function f(x: any[]): Map<string, any> {}'],
    ['src/in/ack/outbox.ts', 'const t = Date.now();'],
    ['src/in/ack/outbox.ts', 'const t = new Date();'],
    ['src/in/ack/outbox.ts', 'const t = performance.now() - before;'],
    ['src/in/ack/outbox.ts', 'const x = list[0]!;'],
    ['src/base/wire/read.ts', 'const x = thing!.length;'],
    ['src/in/ack/outbox.ts', 'enum X { A }'],
    ['codecs/toy/decode.ts', 'const x = Math.random();'],
    ['codecs/toy/decode.ts', 'const part = bytes.subarray(1, 2);'],
    ['codecs/toy/decode.ts', "console.log('x');"],
  ])('finds in %s: %s', (file, source) => {
    expect(languageViolations(file, source).length).toBeGreaterThan(0);
  });

  it.each([
    ['src/in/ack/outbox.ts', "const KIND = { A: 1 } as const;\nconst a = ['x'] as const;"],
    ['src/in/ack/outbox.ts', "import * as fs from 'node:fs';\nimport { a as b } from './x.ts';\nexport { a as c } from './x.ts';"],
    ['src/in/ack/outbox.ts', "/** as any other */\n// new Date() as Date\nconst text = 'as any thing';\nconst t = `x as any z`;"],
    ['src/in/ack/outbox.ts', "const pattern = /'as any/;\nif (a !== b && !c) f(!d);"],
    ['src/base/wire/read.ts', 'const x = bytes[at]! << 8;'],
    ['src/base/clock.ts', 'now: () => Date.now(),'],
  ])('finds nothing in %s: %s', (file, source) => {
    expect(languageViolations(file, source)).toEqual([]);
  });

  it.each([
    ['src/base/wire/read.ts', "import type { Codec } from '../../codec/index.ts';", 'base/wire → codec'],
    ['src/journal/journal.ts', "import { Shipper } from '../out/ship/shipper.ts';", 'journal → out/ship'],
    ['src/cli/serve.ts', "import { log } from '../log.ts';\nimport { x } from '../api/server.ts';", undefined],
  ])('sees in %s which way %s goes', (file, source, step) => {
    expect(upwardImports(file, source)).toEqual(step === undefined ? [] : [{ file, step }]);
  });

  it('finds a ring', () => {
    const ring = new Map([
      ['src/a/x.ts', "import { y } from '../b/y.ts';"],
      ['src/b/y.ts', "import { x } from '../a/x.ts';"],
      ['src/b/z.ts', "import type { x } from '../a/x.ts';"],
    ]);
    expect(rings(ring)).toEqual(['src/a/x.ts → src/b/y.ts → src/a/x.ts']);
  });
});
