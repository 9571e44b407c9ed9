/** Private directories in a place where others can write: what killed processes left goes, and nothing else. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { createSystem } from '../sys/index.ts';
import { PrivateDirectory } from './private-directory.ts';

/** A private directory with a file, as a process has it. */
function makeAt(path: string): void {
  mkdirSync(join(path, 'meta'), { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
  writeFileSync(join(path, 'meta/data.mdb'), 'text');
}

test('what a killed process left is removed; what a living one has stays', {
  skip: nativeOnly,
}, (context) => {
  const place = scratchDirectory(context);
  const system = createSystem();
  const living = PrivateDirectory.make(system, place)!;
  const stale = join(place, 'ramet-read-99999999-0');
  makeAt(stale);
  const next = PrivateDirectory.make(createSystem(), place)!;
  assert.ok(!existsSync(stale) && existsSync(living.path) && existsSync(next.path));
  for (const directory of [living, next]) {
    makeAt(directory.path);
    directory.remove();
  }
  assert.deepEqual(readdirSync(place), []);
});

test('what another user made under such a name leads nowhere', { skip: nativeOnly }, (context) => {
  const scratch = scratchDirectory(context);
  const [place, victim] = [join(scratch, 'place'), join(scratch, 'victim')];
  mkdirSync(place);
  makeAt(victim);
  symlinkSync(victim, join(place, 'ramet-read-99999999-0'));
  const open = join(place, 'ramet-read-99999999-1');
  mkdirSync(open);
  chmodSync(open, 0o777);
  symlinkSync(join(victim, 'meta'), join(open, 'meta'));
  const planted = join(place, 'ramet-read-99999999-2');
  mkdirSync(planted, { mode: 0o700 });
  symlinkSync(join(victim, 'meta'), join(planted, 'meta'));
  if (process.geteuid?.() === 0) chownSync(planted, 65_534, 65_534);
  PrivateDirectory.make(createSystem(), place)!.remove();
  assert.ok(existsSync(join(victim, 'meta/data.mdb')));
  assert.equal(readdirSync(place).length, 3);
});

test('without a place there is no directory', () => {
  assert.equal(PrivateDirectory.make(createSystem(), '/nowhere'), undefined);
});
