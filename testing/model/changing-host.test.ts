/**
 * A fork over a host directory that changes at random between the fork's operations. Even then nothing breaks: what
 * the fork wrote stays, every byte read is the host's (present or former) or the fork's, and fsck names exactly the
 * files that have lost bytes. The same holds after the fork is reopened. RAMET_MODEL_SEEDS=1..200 plays more seeds.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import { isFsError, SeededRandom } from '../../src/base/index.ts';
import type { Tree } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { problemsOf, writeFile } from '../stores/shared-store.ts';
import { BLOCK, HostTree, rangeOf } from '../trees/host-tree.ts';

const OPERATIONS = 400;
const [FIRST, LAST] = (process.env.RAMET_MODEL_SEEDS ?? '1..8').split('..').map(Number) as [number, number];
const NAMES = ['a', 'b', 'c', 'd'];
const BLOCKS = 4;

/** Every block says who wrote it, and in which operation. */
function block(writer: 'host' | 'fork', operation: number): Buffer {
  return Buffer.alloc(BLOCK, `${writer} ${operation} `);
}

class Scene {
  private readonly random: SeededRandom;
  private readonly host: HostTree;
  private tree: Tree;
  private operation = 0;
  /** What the fork wrote: bytes by block number, by path. Only files that still have this path, and no other. */
  private readonly written = new Map<string, Map<number, Buffer>>();

  constructor(seed: number, host: HostTree) {
    this.random = new SeededRandom(seed);
    this.host = host;
    for (const directory of ['', 'x/', 'y/']) for (const name of NAMES) this.writeHost(`${directory}${name}`);
    this.tree = host.fork('fork');
  }

  private of<T>(items: readonly T[]): T {
    return items[this.random.below(items.length)]!;
  }

  private path(): string {
    return `${this.of(['', '', 'x/', 'y/', 'z/'])}${this.of(NAMES)}`;
  }

  private writeHost(path: string): void {
    const count = 1 + this.random.below(BLOCKS);
    this.host.write(path, Buffer.concat(Array.from({ length: count }, () => block('host', this.operation))));
  }

  private changeHost(): void {
    const { host } = this;
    const [path, other] = [this.path(), this.path()];
    const kind = this.random.below(10);
    try {
      if (kind < 3) this.writeHost(path);
      else if (kind < 4) host.replace(path, block('host', this.operation));
      else if (kind < 5) host.remove(path);
      else if (kind < 6) fs.renameSync(host.at(path), host.at(other));
      else if (kind < 7) fs.linkSync(host.at(path), host.at(other));
      else if (kind < 8) fs.chmodSync(host.at(path), 0o600 + this.random.below(64));
      else if (kind < 9) fs.renameSync(host.at(this.of(['x', 'y', 'z'])), host.at(this.of(['x', 'y', 'z'])));
      else {
        host.remove(path);
        fs.mkdirSync(host.at(path));
      }
    } catch (error) {
      // The host refused the change, so nothing happened.
      if (!(error instanceof Error && 'errno' in error)) throw error;
    }
  }

  private changeFork(): void {
    const { fileSystem } = this.tree;
    const [path, other] = [this.path(), this.path()];
    const kind = this.random.below(10);
    try {
      if (kind < 5) this.writeFork(path);
      else if (kind < 6) fileSystem.chmod(`/${path}`, 0o644, true);
      else if (kind < 7) this.rename(path, other);
      else if (kind < 8) {
        fileSystem.unlink(`/${path}`);
        this.forget(path);
      } else if (kind < 9) {
        fileSystem.makeDirectory(`/${this.of(['x', 'y', 'z'])}`, 0o755);
      } else fileSystem.readDirectory(`/${this.of(['', 'x', 'y', 'z'])}`);
    } catch (error) {
      if (!isFsError(error)) throw error;
      assert.match(
        error.code,
        /^(ENOENT|ESTALE|EEXIST|ENOTDIR|EISDIR|ENOTEMPTY|EINVAL|EBUSY|EXDEV)$/,
        error.message,
      );
    }
  }

  private writeFork(path: string): void {
    const at = this.random.below(BLOCKS);
    const bytes = block('fork', this.operation);
    writeFile(this.tree, `/${path}`, bytes, at * BLOCK);
    // All names of a file show the write, so `written` follows only files with one name.
    if (this.tree.fileSystem.stat(`/${path}`, true).nlink > 1) this.forget(path);
    else this.written.set(path, (this.written.get(path) ?? new Map<number, Buffer>()).set(at, bytes));
  }

  private forget(path: string): void {
    this.written.delete(path);
  }

  private rename(from: string, to: string): void {
    this.tree.fileSystem.rename(`/${from}`, `/${to}`);
    const moved = this.written.get(from);
    if (from === to) return;
    this.forget(from);
    this.forget(to);
    if (moved !== undefined) this.written.set(to, moved);
  }

  private check(): void {
    for (const [path, blocks] of this.written) {
      for (const [at, bytes] of blocks) {
        const found = rangeOf(this.tree, `/${path}`, at * BLOCK, BLOCK);
        assert.deepEqual(found, bytes, `operation ${this.operation}: block ${at} of ${path}`);
      }
    }
    for (const directory of ['/', '/x', '/y', '/z']) this.checkDirectory(directory);
  }

  private checkDirectory(directory: string): void {
    let names: readonly { readonly name: string }[];
    try {
      names = this.tree.fileSystem.readDirectory(directory);
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR') || isFsError(error, 'ESTALE')) return;
      throw error;
    }
    for (const { name } of names) {
      for (let at = 0; at < BLOCKS; at++) {
        const path = `${directory === '/' ? '' : directory}/${name}`;
        const found = rangeOf(this.tree, path, at * BLOCK, BLOCK);
        if (typeof found === 'string') {
          assert.match(found, /^(ESTALE|EISDIR)$/, `operation ${this.operation}: ${path}`);
        } else this.checkBlock(found, path);
      }
    }
  }

  /** Checks that a block is whole: written by one writer, in one operation of the past. A hole reads as zeros. */
  private checkBlock(bytes: Buffer, path: string): void {
    if (bytes.length === 0 || bytes.every((byte) => byte === 0)) return;
    const [, writer, operation] = /^(host|fork) (\d+) /.exec(bytes.toString('latin1')) ?? [];
    const where = `operation ${this.operation}: ${path} has ${bytes.toString('latin1', 0, 30)}`;
    assert.ok(writer !== undefined && Number(operation) <= this.operation, where);
    const expected = block(writer as 'host' | 'fork', Number(operation)).subarray(0, bytes.length);
    assert.deepEqual(bytes, expected, where);
  }

  /** Checks that fsck names exactly the files whose reads fail with ESTALE. */
  private checkFsck(): void {
    this.tree.checkpoint();
    const problems = problemsOf(this.host.engine);
    const named = new Set(
      problems.flatMap((problem) => [...problem.matchAll(/fork:(\/[\w/]+)/g)].map(([, path]) => path)),
    );
    for (const path of this.written.keys()) {
      const isStale = this.readBlocks(`/${path}`).includes('ESTALE');
      assert.equal(named.has(`/${path}`), isStale, `operation ${this.operation}: fsck and /${path}`);
    }
    for (const problem of problems) {
      assert.match(problem, /host file .* (is gone|was changed|was replaced|was removed).*fork:/, problem);
      const paths = [...problem.matchAll(/fork:(\/[\w/]+)/g)].map(([, path]) => path!);
      assert.ok(paths.length > 0, problem);
      for (const path of paths) {
        assert.ok(
          this.readBlocks(path).includes('ESTALE'),
          `operation ${this.operation}: ${problem}, but ${path} can be read`,
        );
      }
    }
  }

  private readBlocks(path: string): (Buffer | string)[] {
    return Array.from({ length: BLOCKS }, (_, at) => rangeOf(this.tree, path, at * BLOCK, BLOCK));
  }

  async play(): Promise<void> {
    for (this.operation = 1; this.operation <= OPERATIONS; this.operation++) {
      if (this.random.below(3) === 0) this.changeHost();
      else this.changeFork();
      if (this.operation % 10 === 0) this.check();
      if (this.operation % 50 === 0) await this.between();
    }
    this.tree.close();
  }

  private async between(): Promise<void> {
    const { host } = this;
    this.checkFsck();
    const kind = this.random.below(4);
    if (kind === 0) host.engine.freeze(this.tree);
    else if (kind === 1) collectGarbage(host.engine);
    else {
      this.tree.close();
      await host.reopenStore();
      this.tree = host.engine.openTree('fork');
    }
    this.check();
    this.checkFsck();
  }
}

for (let seed = FIRST; seed <= LAST; seed++) {
  test(`seed ${seed}: ${OPERATIONS} operations`, { skip: nativeOnly }, async (context: TestContext) => {
    const host = await HostTree.create(context, { commitMarkMs: Number.POSITIVE_INFINITY });
    await new Scene(seed, host).play();
  });
}
