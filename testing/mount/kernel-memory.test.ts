/** The kernel's memory for mounts: the budget of pages, idle mounts, and pages that forks share. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { directoryOnDisk } from '../../src/demo/index.ts';
import type { MountServerOptions } from '../../src/fuse/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { until } from '../pace/until.ts';
import { patternBytes } from '../stores/shared-store.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';
import { mountsOverlays } from './overlays.ts';

const skip = whyNoMounts();
const MIB = 1024 * 1024;
const PAGE = 4096;
const MADV_RANDOM = 1;
const system = createSystem();

/** A server over a store with a snapshot `base` of the files that `fill` makes. */
async function serve(
  fill: (directory: string) => void,
  options: MountServerOptions = {},
): Promise<MountServerProcess> {
  const source = mkdtempSync(join(directoryOnDisk(), 'ramet-mount-source-'));
  try {
    fill(source);
    const server = await MountServerProcess.start(undefined, undefined, options);
    await server.ask({ kind: 'import', directory: source, name: 'base' });
    return server;
  } finally {
    rmSync(source, { recursive: true });
  }
}

async function mountFork(server: MountServerProcess, name: string, io: 'cached' | 'shared'): Promise<string> {
  await server.ask({ kind: 'fork', source: 'base', name });
  return server.mount(name, io);
}

/** Pages of a file that the kernel has, by mincore(2) on a map of it. */
function residentPages(path: string, length: number): number {
  const fd = openSync(path, 'r');
  const at = system.mapWindow(fd, 0, length);
  closeSync(fd);
  try {
    return system.residency(at, length).reduce((sum, one) => sum + (one & 1), 0);
  } finally {
    system.unmap(at, length);
  }
}

function readThrough(path: string): number {
  const fd = openSync(path, 'r');
  const buffer = Buffer.alloc(MIB);
  let total = 0;
  for (;;) {
    const count = readSync(fd, buffer);
    if (count === 0) break;
    total += count;
  }
  closeSync(fd);
  return total;
}

describe('the kernel’s pages', { skip }, () => {
  it('of a file larger than the budget stay within it', async () => {
    const size = 64 * MIB;
    const fill = (directory: string) => writeFileSync(join(directory, 'large'), patternBytes(size, 1));
    await using server = await serve(fill, { pages: { largeBytesMax: 8 * MIB } });
    const path = join(await mountFork(server, 'fork', 'cached'), 'large');
    assert.equal(readThrough(path), size);
    // A separate thread drops pages, so this takes a moment.
    const most = (8 * MIB + MIB) / PAGE;
    await until(() => residentPages(path, size) <= most, `at most ${most} pages are in memory`);
    assert.ok(residentPages(path, size) > 0, 'the pages read last are kept');
    assert.ok(readFileSync(path).equals(patternBytes(size, 1)));
  });
});

/** A shell program in a mount namespace of its own, which works in a directory and pauses in the middle. */
class Worker implements Disposable {
  private readonly child: ChildProcess;
  private printed = '';

  /** The program runs `before` at once, and `after` when `goOn` is called. */
  constructor(directory: string, before: string, after: string) {
    const script = `cd "$1"; ${before}; echo ready; read -r _; ${after}`;
    const args = ['--mount', '--propagation', 'private', '--', 'sh', '-ec', script, 'sh', directory];
    this.child = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.printed += text;
    });
  }

  async ready(): Promise<void> {
    await until(() => this.printed.includes('ready\n'), 'the program is ready');
  }

  /** Lets the program go on to its end; returns the lines that it prints. */
  async goOn(): Promise<string[]> {
    this.printed = '';
    this.child.stdin!.end('\n');
    const [code] = await once(this.child, 'close');
    assert.equal(code, 0, this.printed);
    return this.printed.trimEnd().split('\n');
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
  }
}

for (const canPrune of [true, false]) {
  const kernel = canPrune ? '' : ', with a kernel that cannot prune';
  describe(`an idle mount${kernel}`, { skip }, () => {
    it('gives back its nodes, and works afterwards', async () => {
      const fill = (directory: string) => {
        for (let index = 0; index < 300; index++) writeFileSync(join(directory, `file-${index}`), `${index}`);
      };
      await using server = await serve(fill, { trimAfterMs: 500, canPrune });
      const mount = await mountFork(server, 'fork', 'cached');
      for (const name of readdirSync(mount)) statSync(join(mount, name));
      const nodes = async () => (await server.ask({ kind: 'nodes' })).nodes!;
      assert.ok((await nodes()) >= 300, 'the kernel has all of them');
      await until(async () => (await nodes()) === 0, 'no node is left');
      assert.equal(readdirSync(mount).length, 300);
      assert.equal(readFileSync(join(mount, 'file-7'), 'utf8'), '7');
      writeFileSync(join(mount, 'file-7'), 'seven');
      assert.equal(readFileSync(join(mount, 'file-7'), 'utf8'), 'seven');
      assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
    });

    it('keeps nodes that are in use, even of files without a name', async () => {
      const fill = (directory: string) => writeFileSync(join(directory, 'file'), 'content');
      await using server = await serve(fill, { trimAfterMs: 500, canPrune });
      const mount = await mountFork(server, 'fork', 'cached');
      const path = join(mount, 'file');
      const fd = openSync(path, 'r+');
      rmSync(path);
      await sleep(2500);
      assert.ok((await server.ask({ kind: 'nodes' })).nodes! > 0);
      writeSync(fd, 'CON', 0);
      const bytes = Buffer.alloc(7);
      readSync(fd, bytes, 0, 7, 0);
      closeSync(fd);
      assert.equal(bytes.toString(), 'CONtent');
    });

    it('leaves filesystems mounted in it, and programs that work in its directories', async () => {
      const fill = (directory: string) => {
        mkdirSync(join(directory, 'place/inner'), { recursive: true });
        writeFileSync(join(directory, 'place/inner/file'), 'of the fork\n');
      };
      await using server = await serve(fill, { canPrune });
      const mount = await mountFork(server, 'fork', 'cached');
      const mounting = 'mount -t tmpfs scratch place; echo mounted > place/file';
      using other = new Worker(mount, mounting, 'cat place/file; rm place/file');
      using worker = new Worker(join(mount, 'place/inner'), 'cat file', 'pwd; cat file; cat ../inner/file');
      for (const one of [other, worker]) await one.ready();
      await server.ask({ kind: 'trim' });
      assert.deepEqual(await other.goOn(), ['mounted']);
      const inner = realpathSync(join(mount, 'place/inner'));
      assert.deepEqual(await worker.goOn(), [inner, 'of the fork', 'of the fork']);
      await server.unmount(mount);
    });

    it('leaves an overlay whose layers are in it', {
      skip: mountsOverlays() ? false : 'no overlays',
    }, async () => {
      const fill = (directory: string) => {
        for (const name of ['lower/tree', 'lower/other', 'upper', 'work', 'merged'])
          mkdirSync(join(directory, name), { recursive: true });
        for (const name of ['tree/a', 'tree/b', 'other/c', 'file'])
          writeFileSync(join(directory, 'lower', name), `${name}\n`);
      };
      await using server = await serve(fill, { canPrune });
      const mount = await mountFork(server, 'fork', 'cached');
      const before = `
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
cd merged
echo more >> file
rm tree/a
mkdir new
echo new > new/file`;
      const after = `
cat file new/file
echo still >> file
mv new/file tree/a
rmdir new
mv file other
rm tree/b
rm -r tree
mkdir tree
find . -mindepth 1 | LC_ALL=C sort | xargs echo
cat other/file`;
      using worker = new Worker(mount, before, after);
      await worker.ready();
      await server.ask({ kind: 'trim' });
      const found = './other ./other/c ./other/file ./tree';
      assert.deepEqual(await worker.goOn(), ['file', 'more', 'new', found, 'file', 'more', 'still']);
      assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
      await server.unmount(mount);
    });
  });
}

/** The frames of the pages of a file, read in through a map that is closed again. */
function framesOf(path: string, length: number): number[] {
  const fd = openSync(path, 'r');
  const at = system.mapWindow(fd, 0, length);
  closeSync(fd);
  try {
    system.advise(at, length, MADV_RANDOM);
    const bytes = Buffer.from(system.bufferAt(at, length));
    for (let page = 0; page < length; page += PAGE) bytes.readUInt8(page);
    return system.frameNumbers(at, length / PAGE);
  } finally {
    system.unmap(at, length);
  }
}

describe('a large clean file in the mode `shared`', { skip }, () => {
  it('has the same frames in three forks, until one of them writes', async () => {
    const size = 2 * MIB;
    const content = patternBytes(size, 3);
    await using server = await serve((directory) => writeFileSync(join(directory, 'large'), content));
    const paths: string[] = [];
    for (const name of ['one', 'two', 'three'])
      paths.push(join(await mountFork(server, name, 'shared'), 'large'));
    const [one, two, three] = paths as [string, string, string];
    const frames = framesOf(one, size);
    assert.equal(new Set(frames).size, size / PAGE);
    assert.ok(frames.every((frame) => frame !== 0));
    assert.deepEqual(framesOf(two, size), frames);
    assert.deepEqual(framesOf(three, size), frames);
    const fd = openSync(two, 'r+');
    writeSync(fd, 'changed', 5 * PAGE);
    closeSync(fd);
    const expected = Buffer.from(content);
    expected.write('changed', 5 * PAGE);
    assert.ok(readFileSync(two).equals(expected));
    assert.notDeepEqual(framesOf(two, size), frames);
    assert.deepEqual(framesOf(one, size), frames);
    assert.deepEqual(framesOf(three, size), frames);
    for (const path of [one, three]) assert.ok(readFileSync(path).equals(content));
    assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
  });
});
