/**
 * Forks over a host tree when a system call fails, when the process dies at a call, and when the power is cut. Each
 * tree is in its state before or after the operation, after a power cut in a state since it was last durable, and
 * nothing is left open. A sample of the calls is tried; with RAMET_SWEEP=all each call.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ErrorCode, FsError, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { CrashedError, createSystem, FaultySystem, type System } from '../../src/sys/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { swept } from '../pace/sweep.ts';
import { patternBytes, problemsOf, readFile, writeFile } from '../stores/shared-store.ts';
import { fingerprint } from '../trees/host-tree.ts';
import { imagesDirectory, makeImage, systemFor } from './crash-images.ts';
import { WatchedSystem } from './watched-system.ts';

const BLOCK = 4096;
const FOREVER = Number.POSITIVE_INFINITY;
/** How many calls fail, for each kind of failure. */
const SAMPLES = swept({ sample: 8, long: 16, all: Number.POSITIVE_INFINITY });
/** Of this many successive points for a power cut, one is tried. */
const CUTS_STRIDE = swept({ sample: 5, long: 3, all: 1 });

/** The content of each tree, by its name: a line for each path. */
type States = ReadonlyMap<string, readonly string[]>;

function linesOf(tree: Tree): string[] {
  const lines: string[] = [];
  const visit = (path: string): void => {
    for (const { name } of tree.fileSystem.readDirectory(path === '' ? '/' : path)) {
      const child = `${path}/${name}`;
      const { mode, size, nlink } = tree.fileSystem.stat(child, false);
      const isDirectory = (mode & 0o170000) === 0o040000;
      const content = isDirectory
        ? ''
        : `${size} ${nlink} ${readFile(tree, child).toString('base64').slice(-40)}`;
      lines.push(`${child} ${mode.toString(8)} ${content}`);
      if (isDirectory) visit(child);
    }
  };
  visit('');
  return lines.sort();
}

function fillHost(root: string): void {
  fs.mkdirSync(join(root, 'directory/inner'), { recursive: true });
  for (const [index, name] of [
    'file',
    'other',
    'gone',
    'linked',
    'directory/a',
    'directory/inner/b',
  ].entries()) {
    fs.writeFileSync(join(root, name), patternBytes(3 * BLOCK + 100 * index, index + 1));
  }
  fs.linkSync(join(root, 'linked'), join(root, 'link'));
}

interface Step {
  run(): void;
  /** All trees are durable after the step. */
  readonly isDurable?: boolean;
}

/** The workload: each step is one operation on one tree. */
class HostWork {
  readonly trees = new Map<string, Tree>();
  done = 0;
  durable = 0;
  private readonly engine: StoreEngine;
  private readonly root: string;
  private readonly isPinned: boolean;

  constructor(engine: StoreEngine, root: string, isPinned: boolean) {
    this.engine = engine;
    this.root = root;
    this.isPinned = isPinned;
  }

  private get one(): Tree {
    return this.trees.get('one')!;
  }

  private cloneFile(from: string, to: string): void {
    const { fileSystem } = this.one;
    const source = fileSystem.open(from, 0, 0);
    const target = fileSystem.open(to, fs.constants.O_RDWR, 0);
    try {
      fileSystem.reflink(source, target);
    } finally {
      fileSystem.close(source);
      fileSystem.close(target);
    }
  }

  steps(): Step[] {
    const { engine, trees } = this;
    const own = patternBytes(500, 99);
    const on = (run: (tree: Tree) => void): Step => ({ run: () => run(this.one) });
    return [
      {
        run: () => void trees.set('one', engine.forkHost(this.root, 'one', this.isPinned)),
        isDurable: true,
      },
      on((tree) => writeFile(tree, '/file', own, BLOCK)),
      on(({ fileSystem }) => fileSystem.chmod('/other', 0o600, true)),
      on(({ fileSystem }) => fileSystem.rename('/directory', '/moved')),
      on(({ fileSystem }) => fileSystem.unlink('/gone')),
      on(({ fileSystem }) => fileSystem.makeDirectory('/moved/own', 0o755)),
      on(({ fileSystem }) => fileSystem.truncate('/moved/a', 5000)),
      { run: () => this.one.fileSystem.byInode.sync(), isDurable: true },
      on((tree) => writeFile(tree, '/other', own, 3 * BLOCK + 100)),
      on(({ fileSystem }) => fileSystem.link('/linked', '/moved/third', false)),
      on((tree) => writeFile(tree, '/link', own, 2 * BLOCK)),
      { run: () => void engine.snapshot('one', 'snapshot'), isDurable: true },
      on((tree) => writeFile(tree, '/file', own, 0)),
      on(({ fileSystem }) => {
        const { O_CREAT, O_WRONLY } = fs.constants;
        fileSystem.close(fileSystem.open('/copy', O_CREAT | O_WRONLY, 0o644));
      }),
      on(() => this.cloneFile('/moved/inner/b', '/copy')),
      on(({ fileSystem }) => fileSystem.rename('/copy', '/moved/inner/b')),
      {
        run: () => {
          for (let count = 0; count < 2; count++) collectGarbage(engine);
        },
        isDurable: true,
      },
      on(({ fileSystem }) => fileSystem.unlink('/linked')),
      on((tree) => tree.checkpoint()),
      on(({ fileSystem }) => fileSystem.truncate('/file', 0)),
    ];
  }

  run(onDone: () => void = () => undefined): void {
    for (const { run, isDurable } of this.steps()) {
      run();
      this.done++;
      if (isDurable === true) this.durable = this.done;
      onDone();
    }
  }
}

function descriptorCount(): number {
  return fs.readdirSync('/proc/self/fd').length;
}

for (const isPinned of [false, true]) {
  describe(`forks over a host tree${isPinned ? ', pinned' : ''}`, { skip: nativeOnly }, () => {
    let [scratch, root] = ['', ''];
    let filled: readonly string[] = [];
    /** The states after each step; the first is that before any step. */
    const states: States[] = [new Map()];
    let calls = 0;

    before(async () => {
      scratch = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'ramet-host-crash-')));
      root = join(scratch, 'repo');
      fs.mkdirSync(root);
      fillHost(root);
      filled = fingerprint(root);
      await withStore(createSystem(), async (engine) => {
        const work = new HostWork(engine, root, isPinned);
        work.run(() => states.push(stateOf(engine, work.trees)));
      });
      const system = new FaultySystem(createSystem());
      await withStore(system, async (engine) => {
        const start = system.callCount;
        new HostWork(engine, root, isPinned).run();
        calls = system.callCount - start;
      });
    });
    after(() => {
      assert.deepEqual(fingerprint(root), filled, 'nothing was written to the directory');
      fs.rmSync(scratch, { recursive: true });
    });

    async function withStore(
      system: System,
      use: (engine: StoreEngine, directory: string) => Promise<void>,
    ): Promise<void> {
      const parent = imagesDirectory();
      const directory = join(parent, 'store');
      const engine = await StoreEngine.open(directory, { create: true, system, commitMarkMs: FOREVER });
      try {
        await use(engine, directory);
      } finally {
        await engine.close().catch((error: unknown) => {
          if (!(error instanceof CrashedError)) throw error;
        });
        await engine.tables.close();
        fs.rmSync(parent, { recursive: true });
      }
    }

    function stateOf(engine: StoreEngine, open: ReadonlyMap<string, Tree>): States {
      const found = new Map<string, readonly string[]>();
      for (const { name } of engine.list()) {
        const tree = open.get(name) ?? engine.openTree(name);
        found.set(name, linesOf(tree));
        if (!open.has(name)) tree.close();
      }
      return found;
    }

    /** Asserts that all trees together are in one of the states from `first` to `last`. */
    function expectOneOf(found: States, first: number, last: number, text: string): void {
      const allowed = states.slice(first, last + 1);
      const fits = allowed.some((state) => {
        const names = [...state.keys()];
        return (
          names.length === found.size &&
          names.every((name) => found.get(name)?.join() === state.get(name)!.join())
        );
      });
      if (!fits) assert.deepEqual(found, allowed.at(-1), text);
    }

    async function checkStore(directory: string, first: number, last: number, text: string): Promise<void> {
      const engine = await StoreEngine.open(directory);
      try {
        assert.deepEqual(problemsOf(engine, { scrub: true }), [], text);
        expectOneOf(stateOf(engine, new Map()), first, last, text);
        collectGarbage(engine);
        assert.deepEqual(problemsOf(engine), [], text);
        expectOneOf(stateOf(engine, new Map()), first, last, text);
      } finally {
        await engine.close();
      }
    }

    async function failAt(failing: number, code: ErrorCode | 'death'): Promise<void> {
      const descriptors = descriptorCount();
      const system = new FaultySystem(createSystem());
      await withStore(system, async (engine, directory) => {
        const work = new HostWork(engine, root, isPinned);
        const start = system.callCount;
        let text = 'no call';
        system.plan = (operation, index, path) => {
          if (index - start !== failing) return undefined;
          text = `${code} of ${operation} ${path}, call ${failing}, in step ${work.done}`;
          return code === 'death' ? { kind: 'crash' } : { kind: 'error', code };
        };
        let isFailed = false;
        try {
          work.run();
        } catch (error) {
          isFailed = true;
          if (!(error instanceof FsError || error instanceof CrashedError))
            throw new Error(text, { cause: error });
        }
        system.plan = undefined;
        const last = Math.min(work.done + (isFailed ? 1 : 0), states.length - 1);
        if (!system.isCrashed) {
          // If the failing step made a tree of another, that other tree may be closed now.
          const open = new Map([...work.trees].filter(([name]) => engine.openTreeOf(name) !== undefined));
          expectOneOf(stateOf(engine, open), work.done, last, text);
        }
        system.crash();
        await engine.close().catch((error: unknown) => {
          if (!(error instanceof CrashedError || error instanceof FsError)) throw error;
        });
        await engine.tables.close();
        await checkStore(directory, work.done, last, text);
      });
      assert.equal(descriptorCount(), descriptors, `${code} at call ${failing}: descriptors`);
    }

    test('the workload makes enough calls', (context) => {
      context.diagnostic(`${calls} calls`);
      assert.ok(calls > 200);
    });

    for (const [offset, code] of (['EIO', 'ENOSPC', 'EACCES', 'death'] as const).entries()) {
      test(`${code} at any call`, async () => {
        await failAt(calls, code);
        const step = Math.max(1, Math.ceil(calls / (isPinned ? SAMPLES / 2 : SAMPLES)));
        for (let at = Math.floor((step * offset) / 4); at < calls; at += step) await failAt(at, code);
      });
    }

    test('a power cut at any call that changes or syncs something', async () => {
      const images: { readonly directory: string; readonly first: number; readonly last: number }[] = [];
      const parent = imagesDirectory();
      const from = join(parent, 'store');
      let work: HostWork | undefined;
      StoreEngine.initialize(from);
      const watched = new WatchedSystem(
        createSystem(),
        (index) => {
          if (work === undefined || index % CUTS_STRIDE !== 0) return;
          const to = join(parent, `image-${index}`);
          makeImage({
            watched,
            random: new SeededRandom(index),
            kind: 'power cut',
            write: undefined,
            from,
            to,
          });
          images.push({
            directory: to,
            first: work.durable,
            last: Math.min(work.done + 1, states.length - 1),
          });
        },
        parent,
      );
      const engine = await StoreEngine.open(from, {
        system: watched.system,
        commitMarkMs: FOREVER,
      });
      try {
        work = new HostWork(engine, root, isPinned);
        work.run();
        work = undefined;
        assert.ok(images.length > 10, `${images.length} images`);
        for (const { directory, first, last } of images) await checkCut(directory, first, last);
      } finally {
        work = undefined;
        await engine.close();
        watched.close();
        fs.rmSync(parent, { recursive: true });
      }
    });

    async function checkCut(directory: string, first: number, last: number): Promise<void> {
      const engine = await StoreEngine.open(directory, { system: systemFor('power cut') });
      try {
        const text = `power cut, ${directory}`;
        const problems = problemsOf(engine, { scrub: true }).filter((one) => !one.endsWith('gc removes it'));
        assert.deepEqual(problems, [], text);
        const found = stateOf(engine, new Map());
        // The fork goes back to a state since the last mark; the snapshot is there from the step that made it.
        for (const [name, lines] of found) {
          const fits = states
            .slice(first, last + 1)
            .some((state) => state.get(name)?.join() === lines.join());
          assert.ok(
            fits,
            `${text}: tree ${name} is in no state from ${first} to ${last}:\n${lines.join('\n')}`,
          );
        }
      } finally {
        await engine.close();
      }
    }
  });
}
