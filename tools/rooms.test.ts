/** Tests that the linter's rules and CONTRIBUTING's table agree with `rooms.ts`. `npm run rooms` writes both. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { importsOf, ROOMS, withLintRules, withRoomTable } from './rooms.ts';
import { findRoot } from './tidy.ts';

const root = findRoot(process.cwd());
const textOf = (name: string): string => readFileSync(join(root, name), 'utf8');

test('every folder under src is a room of the table, and every room is a folder', () => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  assert.deepEqual(folders.map(({ name }) => name).sort(), ROOMS.map(({ name }) => name).sort());
});

test('biome.json states the rules of the table', () => {
  const json = textOf('biome.json');
  assert.deepEqual(JSON.parse(json), JSON.parse(withLintRules(json)));
});

test('CONTRIBUTING.md shows the table', () => {
  const page = textOf('CONTRIBUTING.md');
  assert.equal(page, withRoomTable(page));
  for (const { name } of ROOMS) assert.ok(page.includes(`| \`${name}\` |`), name);
});

test('rooms that a room may not import stand before it in the table', () => {
  for (const [index, room] of ROOMS.entries()) {
    const before = ROOMS.slice(0, index).map(({ name }) => name);
    for (const name of room.not ?? []) assert.ok(before.includes(name), `${room.name} and ${name}`);
    assert.equal(importsOf(room).length, before.length - (room.not?.length ?? 0));
  }
});
