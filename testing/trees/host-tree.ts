/** For tests: a directory of the host, forks that stand on it, and short forms of common checks. */
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
/** Four blocks, of which the last is not full. */
export const FILE_BYTES = 4 * BLOCK - 96;
/** The default content of `HostTree.write`. */
export const hostBytes = patternBytes(FILE_BYTES, 1);
/** The default content of `HostTree.replace`, of another length. */
export const laterBytes = patternBytes(FILE_BYTES + 5000, 2);

export class HostTree {
  /** Holds the directory of the tree, and other files of a test. */
  readonly scratch: string;
  readonly root: string;
  /** In memory if possible, because these tests open many stores. */
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

  /** Makes an empty directory and an empty store. Both are removed when the test ends. */
  static async create(context: TestContext, options: StoreOptions = {}): Promise<HostTree> {
    const scratch = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'ramet-host-tree-')));
    fs.mkdirSync(join(scratch, 'repo'));
    const parent = imagesDirectory();
    const storeDirectory = join(parent, 'store');
    const engine = await StoreEngine.open(storeDirectory, { ...options, create: true });
    const tree = new HostTree(scratch, storeDirectory, engine, options);
    context.after(async () => {
      await tree.engine.close();
      // rmSync would need whole paths, which may be too long here.
      execFileSync('rm', ['-rf', scratch, parent]);
    });
    return tree;
  }

  /** The host's path of a path in the tree. */
  at(path: string): string {
    return join(this.root, path);
  }

  /** Opens the store again, which drops everything that it had read, as a new process would. */
  async reopenStore(): Promise<void> {
    await this.engine.close();
    this.engine = await StoreEngine.open(this.storeDirectory, this.options);
  }

  /** Writes a file in place, with the directories above it. */
  write(path: string, bytes: Uint8Array | string = hostBytes): void {
    fs.mkdirSync(dirname(this.at(path)), { recursive: true });
    fs.writeFileSync(this.at(path), bytes);
  }

  /** Replaces a file by another one. */
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

/** The error code of a call; undefined if the call succeeds. */
export function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (isFsError(error)) return error.code;
    throw error;
  }
}

/** The content of a file, or the error code of reading it. */
export function contentOf(tree: Tree, path: string): Buffer | string {
  try {
    return readFile(tree, path);
  } catch (error) {
    if (isFsError(error)) return error.code;
    throw error;
  }
}

/** Like `contentOf`, for some bytes of the file. */
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
 * Every path of a host directory with all that must not change: attributes, all times except the access time, and with
 * `withBytes` the bytes; reading these changes the access time.
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
