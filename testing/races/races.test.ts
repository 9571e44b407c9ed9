/**
 * While root works in a directory of another user, a process of that user swaps names: files and directories for
 * symlinks, FIFOs, devices and hard links. Nothing outside the directory may be read, made, changed, or mounted over.
 * RAMET_RACES=n does n rounds of each, and prints how many succeeded.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FsError, isFsError, nameFromString } from '../../src/base/index.ts';
import { copyAll } from '../../src/cli/copy.ts';
import { CopyEnd, HostCopies } from '../../src/cli/copy-end.ts';
import { runPrivately } from '../../src/cli/private-run.ts';
import { CommandError } from '../../src/cli/problem.ts';
import { commitTree } from '../../src/lifecycle/index.ts';
import {
  checkMountPoint,
  detachDeadMount,
  mountHere,
  OwnerClient,
  ownMountPath,
} from '../../src/owner/index.ts';
import { type StoreEngine, settleTree } from '../../src/store/index.ts';
import { createKernel, createSystem } from '../../src/sys/index.ts';
import { exportChanges, exportFileSystem, importTree } from '../../src/transfer/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';
import { mountsOnly } from '../host/mounts-only.ts';
import { nativeOnly } from '../host/native-only.ts';
import { stopOwner } from '../owner/stop-owner.ts';
import { swept } from '../pace/sweep.ts';
import { writeText } from '../stores/random-changes.ts';
import { scratchStore } from '../stores/scratch-store.ts';
import { isRoot } from '../trees/odd-tree.ts';
import { PLAIN, Scene } from './stranger.ts';

const ASKED = process.env.RAMET_RACES;
const ROUNDS = Number(ASKED ?? swept({ sample: 2, long: 12, all: 200 }));
const skip = nativeOnly || (!isRoot && 'needs root, and another user');

/** The swaps while root reads. */
const READING = {
  'tree/a': ['link', 'fifo'],
  'tree/b': ['fifo', 'directory', 'gone'],
  'tree/last': ['device', 'link'],
  'tree/sub': ['link', 'gone'],
  'tree/sub/c': ['directory', 'link', 'device'],
  'tree/sub/deep': ['link', 'gone'],
  'tree/sub/deep/d': ['link', 'fifo'],
} as const;
/** The swaps while root writes: with hard links to files of root, which may be read but not written. */
const WRITING = {
  ...READING,
  'tree/a': ['link', 'hard', 'fifo'],
  'tree/sub/deep/e': ['hard', 'link'],
} as const;

/** Runs the rounds. A round may end with an error that has a code; `work` throws other errors for defects. */
async function rounds(
  scene: Scene,
  swapped: Parameters<Scene['during']>[0],
  prepare: (round: number) => Promise<() => Promise<void>> | (() => Promise<void>),
  context: TestContext,
  clean: () => void | Promise<void> = () => undefined,
): Promise<void> {
  const ends: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    const work = await prepare(round);
    let end = 'done';
    try {
      await scene.during(swapped, work);
    } catch (error) {
      if (!isFsError(error) && !(error instanceof CommandError)) throw error;
      end = error.code;
    }
    await clean();
    ends[end] = (ends[end] ?? 0) + 1;
    scene.requireUntouched(`round ${round}, ${end}`);
  }
  if (ASKED !== undefined)
    process.stdout.write(`${context.name}: ${scene.swaps} swaps, ${JSON.stringify(ends)}\n`);
  assert.ok(scene.swaps >= ROUNDS, `${scene.swaps} swaps`);
}

/** Asserts that all names and contents of a tree are the stranger's. */
function requirePlain(files: FileSystem, directory = '/'): void {
  for (const name of files.readDirectoryNames(directory)) {
    const path = `${directory === '/' ? '' : directory}/${name}`;
    assert.notEqual(name, 'only-outside', path);
    const { mode } = files.stat(path, false);
    if (mode >>> 12 === 4) requirePlain(files, path);
    if (mode >>> 12 !== 8) continue;
    const file = files.open(path, 0, 0);
    const bytes = Buffer.alloc(PLAIN.length);
    const count = files.read(file, bytes, 0, bytes.length, 0);
    files.close(file);
    assert.ok(
      PLAIN.startsWith(bytes.toString('latin1', 0, count)),
      `${path}: ${bytes.toString('latin1', 0, 40)}`,
    );
  }
}

/** A store with `base`, an import of the tree, `try`, a fork of it with changes in every directory. */
async function storeOf(
  context: TestContext,
  scene: Scene,
  end: (engine: StoreEngine) => unknown = () => undefined,
): Promise<StoreEngine> {
  scene.prepare();
  const engine = await scratchStore(context);
  await importTree(engine, scene.tree, { name: 'base' });
  scene.requireUntouched('nobody else was there');
  change(engine.fork('base', 'try').fileSystem);
  await end(engine);
  return engine;
}

function change(fork: FileSystem): void {
  for (const path of ['/a', '/sub/c', '/sub/deep/d', '/sub/new', '/sub/deep/new'])
    writeText(fork, path, 'changed');
  fork.unlink('/last');
  fork.chmod('/sub/deep/e', 0o666, false);
}

test('import', { skip }, async (context) => {
  const scene = new Scene(context);
  const engine = await scratchStore(context);
  await rounds(
    scene,
    READING,
    (round) => {
      scene.prepare();
      return async () => {
        await importTree(engine, scene.tree, { name: `import-${round}` });
        const tree = engine.openTree(`import-${round}`);
        requirePlain(tree.fileSystem);
        tree.close();
      };
    },
    context,
  );
});

test('export into a directory of the stranger', { skip }, async (context) => {
  const scene = new Scene(context);
  const engine = await storeOf(context, scene);
  await rounds(
    scene,
    WRITING,
    () => {
      scene.prepare(true);
      const { fileSystem } = engine.openTreeOf('try') ?? engine.openTree('try');
      return async () => void (await exportFileSystem(engine.system, 'try', fileSystem, scene.tree));
    },
    context,
  );
});

test('export --changes into a directory of the stranger', { skip }, async (context) => {
  const scene = new Scene(context);
  const engine = await storeOf(context, scene);
  const [before, after] = ['base', 'try'].map((name) => settleTree(engine, name, new Set()));
  const files = engine.openTreeOf('try')!.fileSystem;
  await rounds(
    scene,
    WRITING,
    () => {
      scene.prepare(true);
      const changed = { name: 'try', files, before: before!, after: after! };
      return async () => void (await exportChanges(engine, changed, scene.tree, { format: 'overlay' }));
    },
    context,
  );
});

test('commit', { skip }, async (context) => {
  const scene = new Scene(context);
  const engine = await storeOf(context, scene);
  await rounds(
    scene,
    WRITING,
    (round) => {
      scene.prepare();
      const fork = `commit-${round}`;
      const tree = engine.fork('base', fork);
      change(tree.fileSystem);
      tree.close();
      return async () =>
        void (await commitTree(engine, fork, { to: scene.tree, base: 'base', onConflict: 'force' }));
    },
    context,
  );
});

test('cp -r to the stranger, over what is there', { skip }, async (context) => {
  const scene = new Scene(context);
  const engine = await storeOf(context, scene);
  const end = new CopyEnd(engine.openTreeOf('try')!.fileSystem, (path) => `try:${path}`);
  await rounds(
    scene,
    WRITING,
    () => {
      scene.prepare();
      return async () => {
        const host = new HostCopies(createSystem());
        const from = { end, path: nameFromString('/'), name: 'tree' };
        const to = host.place(scene.at('world'), () => true);
        await copyAll([from], to, { recursive: true, preserve: true }).finally(() => host.close());
      };
    },
    context,
  );
});

test('cp -r from the stranger', { skip }, async (context) => {
  const scene = new Scene(context);
  const engine = await storeOf(context, scene);
  const fork = engine.openTreeOf('try')!.fileSystem;
  const end = new CopyEnd(fork, (path) => `try:${path}`);
  await rounds(
    scene,
    READING,
    (round) => {
      scene.prepare();
      fork.makeDirectory(`/${round}`, 0o755);
      return async () => {
        const host = new HostCopies(createSystem());
        const from = host.place(scene.tree, () => true);
        const to = { end, path: nameFromString(`/${round}`) };
        try {
          await copyAll([from], to, { recursive: true, preserve: true });
        } finally {
          host.close();
          requirePlain(fork, `/${round}`);
        }
      };
    },
    context,
  );
});

for (const isPinned of [false, true]) {
  test(`a fork of the directory${isPinned ? ', pinned' : ''}: reading, and copying up`, {
    skip,
  }, async (context) => {
    const scene = new Scene(context);
    const engine = await scratchStore(context);
    await rounds(
      scene,
      READING,
      (round) => {
        scene.prepare();
        const fork = `fork-${isPinned}-${round}`;
        const tree = engine.forkHost(scene.tree, fork, isPinned);
        return async () => {
          try {
            const { fileSystem } = tree;
            for (const path of ['/a', '/b', '/sub/c', '/sub/deep/d', '/sub/deep/e', '/last']) {
              try {
                fileSystem.chmod(path, 0o600, false);
                writeText(fileSystem, path, 'plain ');
                requirePlain(fileSystem);
              } catch (error) {
                if (!isFsError(error)) throw error;
              }
            }
          } finally {
            tree.close();
          }
        };
      },
      context,
    );
  });
}

/** The stranger leads the way to the mount point elsewhere. */
const WAY = { 'tree/at': ['link', 'directory', 'gone'], tree: ['link', 'gone'] } as const;

test('run --at: the command works in the tree, and nothing else is mounted over', {
  skip,
}, async (context) => {
  const scene = new Scene(context);
  const [source, at] = [scene.at('kept/source'), join(scene.tree, 'at')];
  mkdirSync(source);
  writeFileSync(join(source, 'mark'), '');
  const script = 'test -e mark && : >ran && test ! -e "$1/at/mark" && test ! -e "$1/mark"';
  const command = ['sh', '-c', script, 'sh', scene.outside.path];
  await rounds(
    scene,
    WAY,
    () => {
      scene.prepare();
      return async () => {
        const { code } = await runPrivately({ source, at, realAt: ownMountPath(at), command });
        assert.equal(code, 0, 'it ran in the tree');
        assert.ok(existsSync(join(source, 'ran')));
      };
    },
    context,
  );
});

test('run --at: no command begins where the tree is not', { skip }, async (context) => {
  const scene = new Scene(context);
  scene.prepare();
  const [source, at] = [scene.at('kept'), join(scene.tree, 'at')];
  const command = ['touch', 'ran'];
  // What is mounted, and what is entered, were the same directory a moment ago.
  for (const [mounted, entered] of [
    [at, join(scene.tree, 'sub')],
    [join(scene.tree, 'sub'), at],
  ] as const) {
    await assert.rejects(
      runPrivately({ source, at: entered, realAt: mounted, command }),
      (error) => error instanceof CommandError && error.code === 'ESTALE',
    );
    assert.ok(!existsSync(join(entered, 'ran')) && !existsSync(join(source, 'ran')));
  }
});

/** A store with an owner process, whose fork `try` is mounted. */
async function ownerOf(context: TestContext, scene: Scene): Promise<OwnerClient> {
  let directory = '';
  let owner: OwnerClient | undefined;
  context.after(async () => {
    owner?.close();
    await stopOwner(directory);
  });
  ({ directory } = await storeOf(context, scene, (engine) => engine.close()));
  owner = await OwnerClient.connectOrStart(directory);
  return owner;
}

test('mount: only at the mount point', { skip: skip || mountsOnly }, async (context) => {
  const scene = new Scene(context);
  const owner = await ownerOf(context, scene);
  await rounds(
    scene,
    WAY,
    () => {
      scene.prepare();
      return async () => {
        const directory = checkMountPoint(join(scene.tree, 'at'));
        await mountHere(owner, { fork: 'try', directory });
      };
    },
    context,
    async () => {
      assert.deepEqual(scene.mountPoints(scene.outside.path, 'fuse.ramet'), []);
      await owner.request('unmount', { target: 'try', isLazy: true }).catch((error: unknown) => {
        if (!isFsError(error, 'EINVAL')) throw error;
      });
      scene.unmountAll(scene.at('world'));
    },
  );
});

/** Something of root's is mounted where the stranger leads. */
function mountOutside(scene: Scene): () => void {
  const place = join(scene.outside.path, 'at');
  assert.equal(spawnSync('mount', ['--bind', place, place]).status, 0);
  return () => {
    scene.unmountAll(scene.at('world'));
    assert.deepEqual(scene.mountPoints(scene.outside.path), [place]);
  };
}

test('umount: only what was mounted', { skip: skip || mountsOnly }, async (context) => {
  const scene = new Scene(context);
  const owner = await ownerOf(context, scene);
  await rounds(
    scene,
    WAY,
    async (round) => {
      scene.prepare();
      await mountHere(owner, { fork: 'try', directory: join(scene.tree, 'at') });
      return async () => {
        await owner.request('unmount', { target: 'try', isLazy: round % 2 === 0 });
        assert.deepEqual(scene.mountPoints(scene.directory, 'fuse.ramet'), []);
      };
    },
    context,
    mountOutside(scene),
  );
});

test('a dead mount: nothing else is taken away', { skip: skip || mountsOnly }, async (context) => {
  const scene = new Scene(context);
  const kernel = createKernel();
  if (kernel instanceof Error) throw kernel;
  await rounds(
    scene,
    WAY,
    () => {
      scene.prepare();
      const [place, device] = [join(scene.tree, 'at'), openSync('/dev/fuse', 'r+')];
      kernel.mount('ramet:dead', place, 'fuse.ramet', 0, `fd=${device},rootmode=40000,user_id=0,group_id=0`);
      closeSync(device);
      return async () => {
        if (!detachDeadMount(place)) throw new FsError('EINVAL');
      };
    },
    context,
    mountOutside(scene),
  );
});
