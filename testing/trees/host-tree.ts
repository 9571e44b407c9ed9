/** For tests: a directory of the host, forks that stand on it, and short forms of what tests ask of them. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { isFsError } from '../../src/base/index.ts';
import { StoreEngine, type StoreOptions, type Tree } from '../../src/store/index.ts';
import { imagesDirectory } from '../crash/crash-images.ts';
import { patternBytes, readFile } from '../stores/shared-store.ts';

export const BLOCK = 4096;
/** Four blocks, the last one not whole. */
export const FILE_BYTES = 4 * BLOCK - 96;
/** What `HostTree.fill` puts into a file. */
export const hostBytes = patternBytes(FILE_BYTES, 1);
/** What a test puts into it later; of another length. */
export const laterBytes = patternBytes(FILE_BYTES + 5000, 2);

export class HostTree {
  /** Holds the tree, the store and what a test keeps beside them. */
  readonly scratch: string;
  readonly root: string;
  /** In memory where it can be: these tests open many stores. */
  readonly storeDirectory: string;
  engine: StoreEngine;
  private readonly options: StoreOptions;

  private constructor(scratch: string, storeDirectory: string, engine: StoreEngine, options: StoreOptions) {
    this.scratch = scratch;
    this.storeDirectory = storeDirectory;
    this.root = join(scratch, 'repo');
    this.engine = engine;
    this.options = options;
  }

  /** An empty directory, and an empty store beside it. Both are gone when the test ends. */
  static async create(context: TestContext, options: StoreOptions = {}): Promise<HostTree> {
    const scratch = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'ramet-host-tree-')));
    fs.mkdirSync(join(scratch, 'repo'));
    const parent = imagesDirectory();
    const storeDirectory = join(parent, 'store');
    const engine = await StoreEngine.open(storeDirectory, { ...options, create: true });
    const tree = new HostTree(scratch, storeDirectory, engine, options);
    context.after(async () => {
      await tree.engine.close();
      // Not rmSync, which names whole paths: these may be too long for that.
      execFileSync('rm', ['-rf', scratch, parent]);
    });
    return tree;
  }

  /** The host's path of something in the tree. */
  at(path: string): string {
    return join(this.root, path);
  }

  /** Another process is not needed to see what one would: nothing is known any more of what was read. */
  async reopenStore(): Promise<void> {
    await this.engine.close();
    this.engine = await StoreEngine.open(this.storeDirectory, this.options);
  }

  /** Writes a file in place, with the directories above it. */
  write(path: string, bytes: Uint8Array | string = hostBytes): void {
    fs.mkdirSync(dirname(this.at(path)), { recursive: true });
    fs.writeFileSync(this.at(path), bytes);
  }

  /** Puts another file in the place of one. */
  replace(path: string, bytes: Uint8Array | string = laterBytes): void {
    fs.writeFileSync(join(this.scratch, 'replacement'), bytes);
    fs.renameSync(join(this.scratch, 'replacement'), this.at(path));
  }

  remove(path: string): void {
    fs.rmSync(this.at(path), { recursive: true });
  }

  fork(name = 'fork', isPinned = false): Tree {
    return this.engine.forkHost(this.root, name, isPinned);
  }
}

/** The code of the error that a call fails with; undefined where it does not fail. */
export function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (isFsError(error)) return error.code;
    throw error;
  }
}

/** What reading a file gives: its bytes, or the code of the error. */
export function contentOf(tree: Tree, path: string): Buffer | string {
  try {
    return readFile(tree, path);
  } catch (error) {
    if (isFsError(error)) return error.code;
    throw error;
  }
}

/** As `contentOf`, of some bytes of it. */
export function rangeOf(tree: Tree, path: string, position: number, length: number): Buffer | string {
  const { fileSystem } = tree;
  const bytes = Buffer.alloc(length);
  try {
    const file = fileSystem.open(path, fs.constants.O_RDONLY, 0);
    try {
      return bytes.subarray(0, fileSystem.read(file, bytes, 0, length, position));
    } finally {
      fileSystem.close(file);
    }
  } catch (error) {
    if (isFsError(error)) return error.code;
    throw error;
  }
}

/** The names of a directory, sorted. */
export function namesIn(tree: Tree, path = '/'): string[] {
  return tree.fileSystem.readDirectoryNames(path).sort();
}

/**
 * Every path of a host directory with all that must not change: attributes, all times but the access time, and, with
 * `withBytes`, bytes, which moves that.
 */
export function fingerprint(root: string, withBytes = true): string[] {
  const lines: string[] = [];
  const visit = (path: Buffer): void => {
    const stat = fs.lstatSync(path, { bigint: true });
    const content =
      stat.isFile() && withBytes
        ? fs.readFileSync(path).toString('base64')
        : stat.isSymbolicLink()
          ? fs.readlinkSync(path)
          : '';
    const { ino, mode, uid, gid, nlink, size, mtimeNs, ctimeNs } = stat;
    lines.push(
      [path.toString('latin1'), ino, mode, uid, gid, nlink, size, mtimeNs, ctimeNs, content].join(' '),
    );
    if (!stat.isDirectory()) return;
    for (const name of fs.readdirSync(path, { encoding: 'buffer' })) {
      visit(Buffer.concat([path, Buffer.from('/'), name]));
    }
  };
  visit(Buffer.from(root));
  return lines.sort();
}
