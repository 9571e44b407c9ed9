/**
 * Mounts of forks that stand on a directory of the host: the cases of mounts, on a fork and on a fork of a fork, and
 * mounts whose directory changes on the host. RAMET_SWEEP=all takes every mode, pinned forks, and the conformance suite
 * of node:fs.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { directoryOnDisk } from '../../src/demo/index.ts';
import type { IoMode } from '../../src/fuse/index.ts';
import { hostFeatures } from '../conformance/host.ts';
import { runConformance } from '../conformance/run.ts';
import { takesAll } from '../pace/sweep.ts';
import { fingerprint } from '../trees/host-tree.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';
import { featuresOf, fillCases, runMountCases } from './run.ts';

const skip = whyNoMounts();
const modes: readonly IoMode[] = takesAll ? ['cached', 'direct', 'shared'] : ['cached'];

function scratchDirectory(): string {
  return fs.realpathSync(fs.mkdtempSync(join(directoryOnDisk(), 'ramet-mount-host-')));
}

for (const io of modes) {
  for (const isPinned of takesAll ? [false, true] : [false]) {
    describe(`mounts over a host tree, ${io}${isPinned ? ', pinned' : ''}`, { skip }, () => {
      let server: MountServerProcess;
      let [source, fork, forkOfFork] = ['', '', ''];
      let filled: readonly string[] = [];
      before(async () => {
        source = scratchDirectory();
        fillCases(source);
        filled = fingerprint(source, false);
        server = await MountServerProcess.start();
        await server.ask({ kind: 'forkHost', directory: source, name: 'fork', isPinned });
        await server.ask({ kind: 'fork', source: 'fork', name: 'fork-of-fork' });
        fork = await server.mount('fork', io);
        forkOfFork = await server.mount('fork-of-fork', io);
      });
      after(async () => {
        try {
          for (const mount of [fork, forkOfFork]) await server.unmount(mount);
          const { problems } = await server.ask({ kind: 'fsck' });
          assert.deepEqual(problems, []);
          await server.ask({ kind: 'close' });
          assert.deepEqual(fingerprint(source, false), filled, 'nothing was written to the directory');
        } finally {
          await server[Symbol.asyncDispose]();
          fs.rmSync(source, { recursive: true, force: true });
        }
      });

      const features = featuresOf(io);
      runMountCases({ name: 'a fork over a host tree', features, root: () => fork });
      runMountCases({ name: 'a fork of a fork over a host tree', features, root: () => forkOfFork });

      if (!takesAll) return;
      let count = 0;
      runConformance({
        name: 'a mounted fork over a host tree',
        features: hostFeatures,
        create() {
          const root = `${fs.realpathSync(fork)}/conformance-${count++}`;
          fs.mkdirSync(root);
          const name = 'a mounted fork over a host tree';
          return { name, fs, root, isHost: true, umask: process.umask(), features: hostFeatures };
        },
        dispose: ({ root }) => fs.rmSync(root, { recursive: true, force: true }),
      });
    });
  }
}

describe('a mount of a fork over a host tree', { skip }, () => {
  /** After this time the kernel asks again for names and attributes of a host tree. */
  const ANSWERS_MS = 1100;

  it('shows changes of the directory after a second, even through a file that is open', async () => {
    const source = scratchDirectory();
    await using server = await MountServerProcess.start();
    try {
      for (const name of ['written', 'replaced', 'removed', 'changed'])
        fs.writeFileSync(join(source, name), 'before');
      await server.ask({ kind: 'forkHost', directory: source, name: 'fork', isPinned: false });
      const mount = await server.mount('fork');
      const at = (name: string): string => join(mount, name);
      for (const name of fs.readdirSync(mount)) assert.equal(fs.readFileSync(at(name), 'utf8'), 'before');
      const fd = fs.openSync(at('written'), 'r');
      fs.chmodSync(at('changed'), 0o600);
      fs.writeFileSync(join(source, 'written'), 'after, and longer');
      fs.writeFileSync(join(source, 'new'), 'new');
      fs.renameSync(join(source, 'new'), join(source, 'replaced'));
      fs.writeFileSync(join(source, 'changed'), 'after');
      fs.rmSync(join(source, 'removed'));
      fs.writeFileSync(join(source, 'added'), 'added');
      await setTimeout(ANSWERS_MS);
      assert.deepEqual(fs.readdirSync(mount).sort(), ['added', 'changed', 'replaced', 'written']);
      assert.equal(fs.readFileSync(at('written'), 'utf8'), 'after, and longer');
      assert.equal(fs.fstatSync(fd).size, 17);
      const bytes = Buffer.alloc(20);
      assert.equal(fs.readSync(fd, bytes, 0, 20, 0), 17);
      assert.equal(bytes.toString('utf8', 0, 17), 'after, and longer');
      fs.closeSync(fd);
      assert.equal(fs.readFileSync(at('replaced'), 'utf8'), 'new');
      assert.equal(fs.readFileSync(at('added'), 'utf8'), 'added');
      assert.equal(fs.readFileSync(at('changed'), 'utf8'), 'after');
      assert.equal(fs.statSync(at('changed')).mode & 0o777, 0o600);
      assert.throws(() => fs.readFileSync(at('removed')), /ENOENT/);
      await server.unmount(mount);
      assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
    } finally {
      fs.rmSync(source, { recursive: true, force: true });
    }
  });

  it('on top of its own directory reads the directory underneath, and cannot be forked itself', async () => {
    const source = scratchDirectory();
    await using server = await MountServerProcess.start();
    try {
      fs.mkdirSync(join(source, 'directory'));
      fs.writeFileSync(join(source, 'directory/file'), 'of the host');
      await server.ask({ kind: 'forkHost', directory: source, name: 'fork', isPinned: false });
      await server.ask({ kind: 'mount', tree: 'fork', directory: source, io: 'cached' });
      try {
        assert.equal(fs.readFileSync(join(source, 'directory/file'), 'utf8'), 'of the host');
        fs.writeFileSync(join(source, 'directory/own'), 'own');
        fs.appendFileSync(join(source, 'directory/file'), ', and more');
        assert.deepEqual(fs.readdirSync(join(source, 'directory')).sort(), ['file', 'own']);
        await assert.rejects(
          server.ask({ kind: 'forkHost', directory: source, name: 'other', isPinned: false }),
          { code: 'ELOOP' },
        );
        await assert.rejects(
          server.ask({
            kind: 'forkHost',
            directory: join(source, 'directory'),
            name: 'other',
            isPinned: false,
          }),
          { code: 'ELOOP' },
        );
      } finally {
        await server.unmount(source);
      }
      assert.equal(fs.readFileSync(join(source, 'directory/file'), 'utf8'), 'of the host');
      assert.deepEqual(fs.readdirSync(join(source, 'directory')), ['file']);
      assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
    } finally {
      fs.rmSync(source, { recursive: true, force: true });
    }
  });

  it('can be read and written with --io shared, although host files are no blobs', async () => {
    const source = scratchDirectory();
    await using server = await MountServerProcess.start();
    try {
      fs.writeFileSync(join(source, 'file'), Buffer.alloc(3 * 4096, 'host '));
      await server.ask({ kind: 'forkHost', directory: source, name: 'fork', isPinned: false });
      const mount = await server.mount('fork', 'shared');
      const reader = fs.openSync(join(mount, 'file'), 'r');
      const writer = fs.openSync(join(mount, 'file'), 'r+');
      fs.writeSync(writer, 'fork ', 4096);
      const bytes = Buffer.alloc(5);
      fs.readSync(reader, bytes, 0, 5, 4096);
      assert.equal(bytes.toString(), 'fork ');
      fs.readSync(reader, bytes, 0, 5, 0);
      assert.equal(bytes.toString(), 'host ');
      for (const fd of [reader, writer]) fs.closeSync(fd);
      await server.unmount(mount);
    } finally {
      fs.rmSync(source, { recursive: true, force: true });
    }
  });

  it('is refused where it would hide its own store', async () => {
    await using server = await MountServerProcess.start();
    const source = join(server.directory, 'repo');
    fs.mkdirSync(source);
    await server.ask({ kind: 'forkHost', directory: source, name: 'fork', isPinned: false });
    const request = { kind: 'mount', tree: 'fork', directory: server.directory, io: 'cached' } as const;
    await assert.rejects(server.ask(request), /EBUSY.*the store lies inside/);
  });

  it('does not wait for itself when a fork is opened under the mount of its own directory', async () => {
    const source = scratchDirectory();
    await using server = await MountServerProcess.start();
    try {
      fs.writeFileSync(join(source, 'file'), 'of the host');
      await server.ask({ kind: 'forkHost', directory: source, name: 'fork', isPinned: false });
      await server.ask({ kind: 'fork', source: 'fork', name: 'second' });
      await server.ask({ kind: 'mount', tree: 'fork', directory: source, io: 'cached' });
      await using other = await MountServerProcess.start(
        fs.mkdtempSync(join(server.directory, 'other-')),
        server.storeDirectory,
      );
      try {
        assert.equal(fs.readFileSync(join(source, 'file'), 'utf8'), 'of the host');
        await server.ask({ kind: 'release', tree: 'second' });
        await assert.rejects(other.mount('second'), /ESTALE.*is covered by a mount of Ramet/);
      } finally {
        await server.unmount(source);
      }
    } finally {
      fs.rmSync(source, { recursive: true, force: true });
    }
  });
});
