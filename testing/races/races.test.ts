/**
 * Another user swaps names, in a process of his own, while root works in his directory: files and directories for
 * symlinks, FIFOs, devices and hard links. Nothing outside is read into a tree, made, changed, or mounted over.
 * RAMET_RACES=n: so many rounds of each; then how many of them succeeded is printed.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isFsError, nameFromString } from '../../src/base/index.ts';
import { copyAll } from '../../src/cli/copy.ts';
import { CopyEnd, HostCopies } from '../../src/cli/copy-end.ts';
import { commitTree } from '../../src/lifecycle/index.ts';
import { type StoreEngine, settleTree } from '../../src/store/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { exportChanges, exportFileSystem, importTree } from '../../src/transfer/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { swept } from '../pace/sweep.ts';
import { writeText } from '../stores/random-changes.ts';
import { scratchStore } from '../stores/scratch-store.ts';
import { isRoot } from '../trees/odd-tree.ts';
import { PLAIN, Scene } from './stranger.ts';

const ASKED = process.env.RAMET_RACES;
const ROUNDS = Number(ASKED ?? swept({ sample: 4, long: 12, all: 200 }));
const skip = nativeOnly || (!isRoot && 'needs root, and another user');

/** All that a stranger may do to what is read. */
const READING = {
  'tree/a': ['link', 'fifo'],
  'tree/b': ['fifo', 'directory', 'gone'],
  'tree/last': ['device', 'link'],
  'tree/sub': ['link', 'gone'],
  'tree/sub/c': ['directory', 'link', 'device'],
  'tree/sub/deep': ['link', 'gone'],
  'tree/sub/deep/d': ['link', 'fifo'],
} as const;
/** A hard link to a file of root's can be read like any other file, by everyone who is given it. */
const WRITING = {
  ...READING,
  'tree/a': ['link', 'hard', 'fifo'],
  'tree/sub/deep/e': ['hard', 'link'],
} as const;

/** Runs the rounds. Errors with a code are one way for a round to end; `work` says what else would be wrong. */
async function rounds(
  scene: Scene,
  swapped: Parameters<Scene['during']>[0],
  prepare: (round: number) => Promise<() => Promise<void>> | (() => Promise<void>),
  context: TestContext,
): Promise<void> {
  const ends: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    const work = await prepare(round);
    let end = 'done';
    try {
      await scene.during(swapped, work);
    } catch (error) {
      if (!isFsError(error)) throw error;
      end = error.code;
    }
    ends[end] = (ends[end] ?? 0) + 1;
    scene.requireUntouched(`round ${round}, ${end}`);
  }
  if (ASKED !== undefined)
    process.stdout.write(`${context.name}: ${scene.swaps} swaps, ${JSON.stringify(ends)}\n`);
  assert.ok(scene.swaps >= ROUNDS, `${scene.swaps} swaps`);
}

/** Every name and every file's content in a tree is the stranger's. */
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
async function storeOf(context: TestContext, scene: Scene): Promise<StoreEngine> {
  scene.prepare();
  const engine = await scratchStore(context);
  await importTree(engine, scene.tree, { name: 'base' });
  scene.requireUntouched('nobody else was there');
  change(engine.fork('base', 'try').fileSystem);
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
