/** Copies to and from a directory of the host that another user may write to: nothing outside is read or written. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEveryCall, Outside } from '../../testing/host/swapped-directory.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { isRoot } from '../../testing/trees/odd-tree.ts';
import { isFsError, nameFromString } from '../base/index.ts';
import { createSystem } from '../sys/index.ts';
import { importTree } from '../transfer/index.ts';
import { type CopyPlace, copyAll } from './copy.ts';
import { CopyEnd, HostCopies } from './copy-end.ts';

test('a directory that becomes a symlink meanwhile leads nowhere, in both directions', async (context) => {
  const scratch = scratchDirectory(context);
  const source = join(scratch, 'source');
  mkdirSync(join(source, 'sub/deep'), { recursive: true });
  for (const name of ['sub/file', 'sub/deep/file', 'sub/last']) writeFileSync(join(source, name), 'plain');
  symlinkSync('file', join(source, 'sub/link'));
  const engine = await scratchStore(context);
  await importTree(engine, source, { name: 'base' });
  const outside = new Outside(join(scratch, 'outside'), ['deep/', 'deep/file', 'file', 'last', 'link']);
  const fork = engine.fork('base', 'try').fileSystem;
  const end = new CopyEnd(fork, (path) => `try:${path}`);
  const options = { recursive: true, preserve: true };
  const work = (system = createSystem()) => {
    const host = new HostCopies(system);
    return { place: (name: string) => host.place(join(scratch, name), (isDirectory) => isDirectory), host };
  };
  const prepare = (name: string) => (): string => {
    for (const old of ['out', 'tree', 'tree-aside'])
      rmSync(join(scratch, old), { recursive: true, force: true });
    mkdirSync(join(scratch, 'out/sub/deep'), { recursive: true });
    mkdirSync(join(scratch, 'tree/sub/deep'), { recursive: true });
    for (const file of ['file', 'last', 'deep/file']) writeFileSync(join(scratch, 'tree/sub', file), 'plain');
    return join(scratch, name);
  };
  for (const name of ['out/sub', 'out/sub/deep']) {
    const calls = await atEveryCall(createSystem(), outside, prepare(name), async (system) => {
      const { host, place } = work(system);
      await copyAll([{ end, path: nameFromString('/sub') }], place('out'), options);
      host.close();
    });
    assert.ok(calls > 40, `${calls} calls`);
  }
  await atEveryCall(createSystem(), outside, prepare('tree/sub'), async (system) => {
    const { host, place } = work(system);
    fork.makeDirectory('/new', 0o755);
    try {
      await copyAll([place('tree')], { end, path: nameFromString('/new') }, options);
    } finally {
      for (const at of ['/new/tree/sub/file', '/new/tree/sub/last']) {
        if (fork.tryStat(at, false) === undefined) continue;
        assert.equal(fork.stat(at, false).size, 5, 'what was copied is no secret');
        fork.unlink(at);
      }
      const removeAll = (path: string): void => {
        if (fork.stat(path, false).mode >>> 12 !== 4) fork.unlink(path);
        else {
          for (const child of fork.readDirectoryNames(path)) removeAll(`${path}/${child}`);
          fork.removeDirectory(path);
        }
      };
      removeAll('/new');
    }
    host.close();
  });
});

test('symlinks on the command line are followed, those below are not', async (context) => {
  const scratch = scratchDirectory(context);
  mkdirSync(join(scratch, 'real/sub'), { recursive: true });
  mkdirSync(join(scratch, 'elsewhere'));
  mkdirSync(join(scratch, 'from/sub'), { recursive: true });
  writeFileSync(join(scratch, 'from/sub/file'), 'content');
  symlinkSync('real', join(scratch, 'link'));
  symlinkSync('../elsewhere', join(scratch, 'real/from'));
  const host = new HostCopies(createSystem());
  context.after(() => host.close());
  const place = (name: string): CopyPlace => host.place(join(scratch, name), (isDirectory) => isDirectory);
  await copyAll([place('from/sub')], place('link'), { recursive: true, preserve: false });
  assert.equal(readFileSync(join(scratch, 'real/sub/file'), 'utf8'), 'content');
  await assert.rejects(
    copyAll([place('from')], place('link'), { recursive: true, preserve: false }),
    (error) =>
      isFsError(error, 'ELOOP') &&
      error.path === join(scratch, 'link/from') &&
      /a symlink/.test(error.message),
  );
});

test('a file with other names is written only where nobody else could have linked it', {
  skip: !isRoot && 'needs root, to give directories away',
}, async (context) => {
  const scratch = scratchDirectory(context);
  for (const name of ['own', 'given', 'open']) mkdirSync(join(scratch, name));
  writeFileSync(join(scratch, 'new'), 'new');
  writeFileSync(join(scratch, 'own/file'), 'old');
  for (const name of ['given', 'open']) linkSync(join(scratch, 'own/file'), join(scratch, name, 'file'));
  chownSync(join(scratch, 'given'), 65534, 65534);
  chmodSync(join(scratch, 'open'), 0o1777);
  const host = new HostCopies(createSystem());
  context.after(() => host.close());
  const place = (name: string): CopyPlace => host.place(join(scratch, name), () => true);
  const copy = (to: string) => copyAll([place('new')], place(to), { recursive: false, preserve: true });
  for (const name of ['given/file', 'open/file'])
    await assert.rejects(
      copy(name),
      (error) => isFsError(error, 'EPERM') && /other names/.test(error.message),
    );
  assert.equal(readFileSync(join(scratch, 'own/file'), 'utf8'), 'old');
  await copy('own/file');
  assert.equal(readFileSync(join(scratch, 'given/file'), 'utf8'), 'new');
});
