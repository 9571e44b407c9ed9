/** Compares a tree after a crash with the states that its history allows. */
import { BLOCK_SIZE, S_IFDIR, S_IFMT } from '../../src/base/index.ts';
import { isWhiteoutDevice } from '../../src/lower/index.ts';
import type { Tree } from '../../src/store/index.ts';
import { readFile } from '../stores/shared-store.ts';
import type { FileState, TreeModel } from './crash-workload.ts';

type Content = Buffer | 'directory' | 'whiteout';

/** What a tree holds, by path. */
function contentsOf(tree: Tree): Map<string, Content> {
  const contents = new Map<string, Content>();
  const visit = (path: string): void => {
    for (const { name } of tree.fileSystem.readDirectory(path === '' ? '/' : path)) {
      const child = `${path}/${name}`;
      const stat = tree.fileSystem.stat(child, false);
      const isDirectory = (stat.mode & S_IFMT) === S_IFDIR;
      if (isDirectory) contents.set(child, 'directory');
      else contents.set(child, isWhiteoutDevice(stat) ? 'whiteout' : readFile(tree, child));
      if (isDirectory) visit(child);
    }
  };
  visit('');
  return contents;
}

/**
 * Undefined when the tree fits one of `states`: it has the names and sizes of that state, and every block of a file is
 * as the file has it in one of the states. Otherwise a text that says for each state what is wrong.
 */
export function disagreement(tree: Tree, states: readonly TreeModel[]): string | undefined {
  const contents = contentsOf(tree);
  const versions = versionsById(states);
  const problems = states.map((state) => compare(contents, state, versions));
  if (problems.includes(undefined)) return undefined;
  return states.length === 0 ? 'there is no state to compare with' : `no state fits: ${problems.join('; ')}`;
}

function versionsById(states: readonly TreeModel[]): Map<number, Set<Buffer>> {
  const versions = new Map<number, Set<Buffer>>();
  for (const state of states) {
    for (const { id, content } of state.values()) {
      if (content === undefined) continue;
      const set = versions.get(id) ?? new Set();
      versions.set(id, set.add(content));
    }
  }
  return versions;
}

function compare(
  contents: ReadonlyMap<string, Content>,
  state: TreeModel,
  versions: ReadonlyMap<number, ReadonlySet<Buffer>>,
): string | undefined {
  for (const path of contents.keys()) if (!state.has(path)) return `${path} should not be there`;
  for (const [path, file] of state) {
    const content = contents.get(path);
    if (content === undefined) return `${path} is missing`;
    const problem = compareFile(content, file, versions.get(file.id) ?? new Set());
    if (problem !== undefined) return `${path} ${problem}`;
  }
  return undefined;
}

function compareFile(actual: Content, file: FileState, versions: ReadonlySet<Buffer>): string | undefined {
  const wanted = file.content ?? (file.isWhiteout ? 'whiteout' : 'directory');
  if (typeof wanted === 'string' || typeof actual === 'string') {
    return wanted === actual ? undefined : 'is of another type';
  }
  if (actual.length !== wanted.length) return `has ${actual.length} bytes, not ${wanted.length}`;
  for (let start = 0; start < actual.length; start += BLOCK_SIZE) {
    const block = actual.subarray(start, start + BLOCK_SIZE);
    if (![...versions].some((version) => isBlockOf(block, version, start))) {
      return `has a block at ${start} that it never had`;
    }
  }
  return undefined;
}

const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** Whether `block` is that of `version` at `start`. Beyond its end the version counts as zeros. */
function isBlockOf(block: Buffer, version: Buffer, start: number): boolean {
  const present = Math.max(0, Math.min(block.length, version.length - start));
  if (present > 0 && block.compare(version, start, start + present, 0, present) !== 0) return false;
  return block.compare(ZEROS, 0, block.length - present, present) === 0;
}
