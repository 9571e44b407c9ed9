/** Checks of mount points. */
import assert from 'node:assert/strict';
import { chownSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { isRoot } from '../../testing/trees/odd-tree.ts';
import { type ErrorCode, isFsError } from '../base/index.ts';
import { checkMountPoint, isDeadMount, realMountPath } from './mount-point.ts';

function fails(code: ErrorCode, note: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFsError(error, code), String(error));
    assert.match(error.note ?? '', note);
    return true;
  };
}

test('an empty directory is a mount point, under its real path', (t) => {
  const scratch = scratchDirectory(t);
  mkdirSync(join(scratch, 'real/place'), { recursive: true });
  symlinkSync('real', join(scratch, 'link'));
  symlinkSync('real/place', join(scratch, 'there'));
  assert.equal(checkMountPoint(join(scratch, 'link/place')), join(scratch, 'real/place'));
  assert.equal(checkMountPoint(join(scratch, 'there')), join(scratch, 'real/place'));
  symlinkSync(join(scratch, 'there'), join(scratch, 'twice'));
  symlinkSync('loop', join(scratch, 'loop'));
  assert.equal(realMountPath(join(scratch, 'link/place/')), join(scratch, 'real/place'));
  assert.equal(realMountPath(join(scratch, 'twice')), join(scratch, 'real/place'));
  assert.equal(realMountPath(join(scratch, 'loop')), join(scratch, 'loop'));
});

test('a path that is missing, no directory, not empty or mounted already is refused with a hint', (t) => {
  const scratch = scratchDirectory(t);
  writeFileSync(join(scratch, 'file'), '');
  assert.throws(() => checkMountPoint(join(scratch, 'none')), fails('ENOENT', /make it first/));
  assert.throws(() => checkMountPoint(join(scratch, 'no/parent')), fails('ENOENT', /make it first/));
  assert.throws(() => checkMountPoint(join(scratch, 'file')), fails('ENOTDIR', /is a directory/));
  assert.throws(() => checkMountPoint(scratch), fails('ENOTEMPTY', /empty directory/));
  assert.throws(() => checkMountPoint('/proc'), fails('EBUSY', /mounted there already/));
  assert.equal(isDeadMount(scratch), false);
});

test("another user's symlink leads only to what is theirs", {
  skip: !isRoot && 'needs root, and another user',
}, (t) => {
  const scratch = scratchDirectory(t);
  for (const name of ['ours', 'theirs']) {
    mkdirSync(join(scratch, name));
    symlinkSync(name, join(scratch, `to-${name}`));
    lchownSync(join(scratch, `to-${name}`), 65534, 65534);
  }
  chownSync(join(scratch, 'theirs'), 65534, 65534);
  assert.equal(checkMountPoint(join(scratch, 'to-theirs')), join(scratch, 'theirs'));
  assert.throws(
    () => checkMountPoint(join(scratch, 'to-ours')),
    fails('EPERM', /of user 65534 leads to .*ours: /),
  );
  symlinkSync('to-ours', join(scratch, 'twice'));
  assert.throws(() => checkMountPoint(join(scratch, 'twice')), fails('EPERM', /to-ours/));
});
