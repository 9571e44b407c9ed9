/**
 * What trees may be found with after a power cut, by the rule of the design: the metadata of a tree is as it was after
 * some operation since the tree was last durable, and each block of a file is as it was then, or as something that came
 * later made it.
 */
import { BLOCK_SIZE } from '../../src/base/index.ts';
import { firstDifference } from './dump.ts';
import { dumpOfTree } from './model-dump.ts';
import { ModelTree } from './model-tree.ts';
import { CUT_OPERATIONS_MAX, type FoundTree } from './operation.ts';

const ZEROS = Buffer.alloc(BLOCK_SIZE);

export class PowerCutStates {
  /** By tree: its states since it was durable, the durable one first. */
  private readonly states = new Map<string, ModelTree[]>();
  private operations = 0;

  /** False when there were too many operations since the mark to keep them. */
  countOperation(): boolean {
    return this.operations++ < CUT_OPERATIONS_MAX;
  }

  /** The tree is durable as it is. */
  stored(name: string, tree: ModelTree): void {
    this.states.set(name, [copyOf(tree)]);
  }

  /** The tree may have changed; undefined when there is none of this name. */
  changed(name: string, tree: ModelTree | undefined): void {
    if (tree !== undefined && !tree.isReadOnly) this.states.get(name)?.push(copyOf(tree));
  }

  drop(name: string): void {
    this.states.delete(name);
  }

  /** The state that fits what was found, with the blocks that were found; or what is wrong, in words. */
  fitting(name: string, found: FoundTree): ModelTree | string {
    const states = this.states.get(name) ?? [];
    const differences: string[] = [];
    for (const [index, state] of states.entries()) {
      const candidate = withFoundBlocks(state, states.slice(index), found);
      const difference =
        typeof candidate === 'string'
          ? candidate
          : firstDifference(dumpOfTree(candidate), found.dump, 'allowed', 'found');
      if (difference === undefined) return candidate as ModelTree; // Without a difference it is no string.
      differences.push(difference);
    }
    return `${name} after a power cut is in none of ${states.length} states:\n${differences.join('\n')}`;
  }
}

function copyOf(tree: ModelTree): ModelTree {
  return new ModelTree(tree.user, tree.isReadOnly, tree);
}

/** `state` with what the files were found to hold, where every block of that was theirs then or later. */
function withFoundBlocks(
  state: ModelTree,
  later: readonly ModelTree[],
  { contents }: FoundTree,
): ModelTree | string {
  const candidate = copyOf(state);
  for (const [path, inode] of candidate.names()) {
    if (inode.kind !== 'file') continue;
    const actual = contents.get(path);
    if (actual === undefined) return `${path} is missing`;
    if (actual.length !== inode.content.length)
      return `${path} has ${actual.length} bytes, not ${inode.content.length}`;
    const versions = later
      .map((tree) => tree.inodes.get(inode.ino)?.content)
      .filter((one) => one !== undefined);
    for (let start = 0; start < actual.length; start += BLOCK_SIZE) {
      const block = actual.subarray(start, start + BLOCK_SIZE);
      if (!versions.some((version) => isBlockOf(block, version, start)))
        return `${path} has a block at ${start} that it did not have`;
    }
    inode.content = Buffer.from(actual);
  }
  return candidate;
}

/** A version that ends earlier counts as zeros from there on. */
function isBlockOf(block: Buffer, version: Buffer, start: number): boolean {
  const present = Math.max(0, Math.min(block.length, version.length - start));
  if (present > 0 && block.compare(version, start, start + present, 0, present) !== 0) return false;
  return block.compare(ZEROS, 0, block.length - present, present) === 0;
}
