/**
 * rooms: the folders under `src/`, the content of each, and the other rooms that each may import. This is the only
 * source: `npm run rooms` makes the linter's rules (biome.json) and the table in CONTRIBUTING.md from this file, and
 * `rooms.test.ts` fails if they differ.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findRoot } from './tidy.ts';

export interface Room {
  readonly name: string;
  readonly holds: string;
  /** Rooms before this one in the table that it may not import nevertheless. */
  readonly not?: readonly string[];
  /** This room may use `node:fs`, `node:os` and the like. */
  readonly touchesHost?: boolean;
  /** Folders inside this room, which may import the room itself and the rooms that it may import. */
  readonly folders?: readonly string[];
}

/** A room may import the rooms before it, through their doors. */
export const ROOMS: readonly Room[] = [
  {
    name: 'base',
    holds: 'assertions, errors, branded numbers, ranges, runs, file modes, codecs, clock, randomness',
  },
  { name: 'sys', holds: 'the operating system, through libc; faults are injected here', touchesHost: true },
  { name: 'blob', holds: 'physical space', touchesHost: true },
  { name: 'meta', holds: 'tables and journal', not: ['blob'], touchesHost: true },
  {
    name: 'extent',
    holds: 'extent maps: logical ranges of a file to blocks of blobs',
    not: ['sys', 'blob', 'meta'],
  },
  {
    name: 'lower',
    holds: 'the layers of a tree that it does not change: frozen ones, directories of the host, unions',
  },
  { name: 'mapping', holds: "one inode's bytes: read, write, truncate, memory map", not: ['lower'] },
  {
    name: 'layer',
    holds: 'the layer that changes, and all layers as one tree: lookup, copy-up, whiteouts, checkpoint',
  },
  { name: 'vfs', holds: 'path walk, open files, permission: what system calls do, over one tree' },
  { name: 'store', holds: 'opens, wires and owns everything' },
  { name: 'upkeep', holds: 'what keeps a store small and sound: gc, dedupe, fsck' },
  {
    name: 'survey',
    holds: 'what trees are made of and how they differ: diff, space, pages, ranges on the host',
  },
  {
    name: 'files',
    holds: 'trees of files on the host, written and read in one way; copying and dressing files of any tree',
    touchesHost: true,
  },
  { name: 'transfer', holds: 'import and export of host trees and archives', touchesHost: true },
  {
    name: 'lifecycle',
    holds: 'what happens to a fork after work in it: patches, commits, merges',
    touchesHost: true,
  },
  {
    name: 'fuse',
    holds: 'trees as directories: the FUSE protocol, sessions, mounts',
    not: ['transfer', 'lifecycle'],
    touchesHost: true,
  },
  {
    name: 'owner',
    holds: 'the background process that serves the mounts of a store, and its clients',
    not: ['transfer', 'lifecycle'],
    touchesHost: true,
  },
  {
    name: 'trees',
    holds: 'any tree by its name, wherever it is: open here, in another process, mounted',
    not: ['transfer', 'lifecycle'],
  },
  {
    name: 'library',
    holds: 'the public library: forks that pass as node:fs',
    touchesHost: true,
  },
  {
    name: 'demo',
    holds: 'the demo: forks a tree, checks every byte, measures disk and memory',
    touchesHost: true,
  },
  { name: 'cli', holds: 'the `ramet` command', touchesHost: true, folders: ['commands'] },
];

/** The room behind `src/index.ts`. */
const PUBLIC_ROOM = 'library';

/** Modules of Node.js that do not touch the host. */
const PURE_MODULES = 'assert assert/strict buffer events path stream string_decoder url util'.split(' ');
/** Packages that no room up to this one may import. */
const OUTER_PACKAGES = ['tar-stream', 'commander', 'cli-progress', 'cli-table3', 'diff', 'node-diff3'];
const LAST_INNER_ROOM = 'survey';

interface Pattern {
  readonly group: readonly string[];
  readonly message: string;
}

/** The names of the rooms that a room may import. */
export function importsOf(room: Room): string[] {
  const before = ROOMS.slice(0, ROOMS.indexOf(room)).map(({ name }) => name);
  return before.filter((name) => room.not?.includes(name) !== true);
}

function directionOf(room: Room, up: string): Pattern {
  const rooms = importsOf(room);
  const beside = up === '../' ? [] : ['!../*.ts'];
  const what =
    rooms.length === 0 ? 'nothing of the project' : `only ${rooms.join(', ')}, each by its index.ts`;
  return {
    group: ['../**', ...beside, ...rooms.map((name) => `!${up}${name}/index.ts`)],
    message: `src/${room.name} may import ${what}.`,
  };
}

/** What a room may not import, besides later rooms. */
function packagesOf({ name, touchesHost }: Room): Pattern[] {
  const patterns: Pattern[] = [];
  if (touchesHost !== true) {
    const group = ['node:*', 'node:*/**', ...PURE_MODULES.map((module) => `!node:${module}`)];
    const message = 'This room does not touch the operating system: ask the System interface instead.';
    patterns.push({ group, message });
  }
  if (name !== 'sys')
    patterns.push({
      group: ['koffi'],
      message: 'Only sys calls libc: add the call to the System interface.',
    });
  if (name !== 'meta') patterns.push({ group: ['lmdb'], message: 'Only meta knows LMDB: use MetaTables.' });
  const names = ROOMS.map((room) => room.name);
  if (names.indexOf(name) <= names.indexOf(LAST_INNER_ROOM))
    patterns.push({ group: OUTER_PACKAGES, message: 'This package belongs to the rooms above survey.' });
  return patterns;
}

function override(includes: string, patterns: readonly Pattern[]): object {
  const rule = { level: 'error', options: { patterns } };
  return { includes: [includes], linter: { rules: { style: { noRestrictedImports: rule } } } };
}

/** The overrides of biome.json that state the rules of rooms. */
export function lintRules(): object[] {
  const rules: object[] = [];
  for (const room of ROOMS) {
    const folders = (room.folders ?? []).map(
      (folder) => [`src/${room.name}/${folder}/**`, '../../'] as const,
    );
    for (const [includes, up] of [[`src/${room.name}/**`, '../'] as const, ...folders])
      rules.push(override(includes, [directionOf(room, up), ...packagesOf(room)]));
  }
  const group = ['./**', `!./${PUBLIC_ROOM}/index.ts`, 'node:*', 'node:*/**'];
  rules.push(override('src/index.ts', [{ group, message: `src/index.ts only re-exports ${PUBLIC_ROOM}.` }]));
  return rules;
}

/** The table of rooms as CONTRIBUTING.md has it. */
export function roomTable(): string {
  const rows = ROOMS.map(({ name, holds, not }) => {
    const refused =
      not === undefined ? '' : `; does not import ${not.map((other) => `\`${other}\``).join(', ')}`;
    return `| \`${name}\` | ${holds}${refused} |\n`;
  });
  return `| room | what it holds |\n|---|---|\n${rows.join('')}`;
}

interface LintConfiguration {
  overrides: { readonly includes: readonly string[] }[];
}

/** biome.json with the rules of rooms replaced by those of this file; everything else stays. */
export function withLintRules(json: string): string {
  const configuration = JSON.parse(json) as LintConfiguration;
  const others = configuration.overrides.filter(
    ({ includes }) => !/^src\/[^*]*(\*\*)?$/.test(includes[0]!) || includes.length > 1,
  );
  configuration.overrides = [...(lintRules() as LintConfiguration['overrides']), ...others];
  return `${JSON.stringify(configuration, undefined, 2)}\n`;
}

/** CONTRIBUTING.md with the table of rooms replaced by that of this file. */
export function withRoomTable(page: string): string {
  return page.replace(/\| room \| what it holds \|\n(?:\|.*\n)+/, () => roomTable());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = findRoot(process.cwd());
  for (const [name, change] of [
    ['biome.json', withLintRules],
    ['CONTRIBUTING.md', withRoomTable],
  ] as const) {
    const path = join(root, name);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  }
}
