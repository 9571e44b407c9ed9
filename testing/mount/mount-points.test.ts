/** The owner's own checks of mount points: a client may name any path, and a path may lead elsewhere meanwhile. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { isFsError } from '../../src/base/index.ts';
import { OwnerClient } from '../../src/owner/index.ts';
import { ScratchCommand } from '../command/scratch-command.ts';
import { mountsOnly } from '../host/mounts-only.ts';

test('the owner mounts only at the empty directory that a path names', {
  skip: mountsOnly,
}, async (context) => {
  // Hooks run in the order in which they were registered: this one before that of ScratchCommand, which removes files.
  context.after(() => spawnSync('umount', ['--lazy', scratch.at('foreign')]));
  const scratch = new ScratchCommand(context);
  for (const name of ['repo', 'empty', 'full', 'taken']) mkdirSync(scratch.at(name));
  for (const name of ['repo', 'full']) writeFileSync(scratch.at(`${name}/file`), 'on the host');
  symlinkSync('empty', scratch.at('link'));
  symlinkSync('.', scratch.at('above'));
  scratch.must('init');
  scratch.must('import', 'repo', '--name', 'base');
  for (const name of ['one', 'two']) scratch.must('fork', 'base', name);
  scratch.must('mount', 'one', 'taken');
  // A directory on which another filesystem is mounted.
  mkdirSync(scratch.at('foreign'));
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', 'ramet-test', scratch.at('foreign')]).status, 0);
  const owner = await OwnerClient.connectOrStart(scratch.at('.ramet'));
  context.after(() => owner.close());
  const refused = [
    ['full', 'ENOTEMPTY'],
    ['full/file', 'ENOTDIR'],
    ['none', 'ENOENT'],
    ['link', 'ENOTDIR'],
    ['above/empty', 'ELOOP'],
    ['taken', 'EBUSY'],
    ['foreign', 'EBUSY'],
    ['.ramet', 'EBUSY'],
    ['above/.ramet/meta', 'ELOOP'],
  ] as const;
  for (const [name, code] of refused) {
    await assert.rejects(
      owner.request('mount', { fork: 'two', directory: scratch.at(name) }),
      (error) => isFsError(error, code) && error.note !== undefined,
      name,
    );
  }
  await owner.request('mount', { fork: 'two', directory: scratch.at('empty') });
  assert.deepEqual(readdirSync(scratch.at('empty')), ['file']);
  await owner.request('unmount', { target: 'two' });
});
