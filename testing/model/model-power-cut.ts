/**
 * The states that trees may be in after a power cut: the metadata of a tree is as it was after some operation since the
 * tree was last durable, and each block of a file is as it was at that moment, or as a later operation made it.
 */
import { BLOCK_SIZE } from '../../src/base/index.ts';
import { firstDifference } from './dump.ts';
import { dumpOfTree } from './model-dump.ts';
import { ModelTree } from './model-tree.ts';
import { CUT_OPERATIONS_MAX, type FoundTree } from './operation.ts';

const ZEROS = Buffer.alloc(BLOCK_SIZE);

export class PowerCutStates {
  /** By tree: its states since it was last durable, the durable one first. */
  private readonly states = new Map<string, ModelTree[]>();
  private operations = 0;

  /** Counts an operation; false once there were too many since the mark to keep their states. */
  countOperation(): boolean {
    return this.operations++ < CUT_OPERATIONS_MAX;
  }

  /** Notes that the present state of the tree is durable. */
  stored(name: string, tree: ModelTree): void {
    this.states.set(name, [copyOf(tree)]);
  }

  /** Notes that the tree may have changed; `tree` is undefined if there is none of this name. */
  changed(name: string, tree: ModelTree | undefined): void {
    if (tree !== undefined && !tree.isReadOnly) this.states.get(name)?.push(copyOf(tree));
  }

  drop(name: string): void {
    this.states.delete(name);
  }

  /** The state that fits the found tree, with the found blocks; or, as text, why none fits. */
  fitting(name: string, found: FoundTree): ModelTree | string {
    const states = this.states.get(name) ?? [];
    const differences: string[] = [];
    for (const [index, state] of states.entries()) {
      const candidate = withFoundBlocks(state, states.slice(index), found);
      const difference =
        typeof candidate === 'string'
          ? candidate
          : firstDifference(dumpOfTree(candidate), found.dump, 'allowed', 'found');
      if (difference === undefined) return candidate as ModelTree; // The cast: without a difference it is no string.
      differences.push(difference);
    }
    return `${name} after a power cut is in none of ${states.length} states:\n${differences.join('\n')}`;
  }
}

function copyOf(tree: ModelTree): ModelTree {
  return new ModelTree(tree.user, tree.isReadOnly, tree);
}

/** `state` with the found contents, if each found block was a block of its file in this state or later. */
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

/** Whether `block` is that of `version` at `start`. Beyond its end the version counts as zeros. */
function isBlockOf(block: Buffer, version: Buffer, start: number): boolean {
  const present = Math.max(0, Math.min(block.length, version.length - start));
  if (present > 0 && block.compare(version, start, start + present, 0, present) !== 0) return false;
  return block.compare(ZEROS, 0, block.length - present, present) === 0;
}
