/**
 * For a fork of a host directory: copies ranges that still lie in files of the host, and finds recorded origins of
 * files.
 */
import { type Ino, isFsError, type LayerId } from '../base/index.ts';
import { isExternal } from '../blob/index.ts';
import { copyUp, type LayerStack } from '../layer/index.ts';
import { decodeHostOrigin, entryIno, type HostOrigin, isDerived, NO_ENTRY } from '../lower/index.ts';
import type { StoredTree, StoreEngine } from '../store/index.ts';
import { TreePaths } from './tree-paths.ts';

/** The files of a tree, which stands on the host layer `host`, that have ranges in files of the host. */
function* filesOnHost(tree: StoredTree, host: LayerId): Generator<Ino> {
  for (const ino of new Set(tree.inosAbove(host))) {
    const record = tree.record(ino);
    if (record === undefined || record.extentLayer === 0 || record.extentLayer === host) continue;
    if (tree.runs(ino, record).some(({ blob }) => isExternal(blob))) yield ino;
  }
}

/**
 * Copies into the fork the bytes that it still takes from files of its host directory, for changed files and for
 * everything renamed. Call this before a commit to that directory: the fork then loses nothing when the commit replaces
 * or removes those files. ESTALE if the host has changed a renamed file; ENOSPC; EBUSY while the fork is open
 * elsewhere.
 */
export function settleOnHost(engine: StoreEngine, fork: string, host: LayerId): void {
  const tree = engine.openTree(fork);
  try {
    tree.checkpoint();
    const stored = engine.chains.storedTree(tree.info);
    const taken = [...filesOnHost(stored, host)];
    const moved = movedOnHost(engine, stored, host);
    for (const ino of taken) {
      try {
        takeOver(tree.stack, ino);
      } catch (error) {
        // The host has changed the bytes of this file: commit reports the file as a conflict.
        if (!isFsError(error, 'ESTALE')) throw error;
      }
    }
    for (const ino of moved) takeOver(tree.stack, ino);
  } catch (error) {
    throw isFsError(error) ? error.in({ syscall: 'commit', path: fork }) : error;
  } finally {
    tree.close();
  }
}

/** Inodes of the host with a recorded origin that the fork has moved. */
function movedOnHost(engine: StoreEngine, tree: StoredTree, host: LayerId): Ino[] {
  const paths = new TreePaths(tree);
  const recorded = new Map(originsOver(engine, tree, host));
  const moved: Ino[] = [];
  for (const [ino, names] of paths.pathsOf(recorded.keys())) {
    if (names.some((path) => path !== `/${recorded.get(ino)!.path}`)) moved.push(ino);
  }
  return moved;
}

/** Copies an inode into the fork, with attributes and bytes; for a directory, also the inodes of the host in it. */
function takeOver(stack: LayerStack, ino: Ino): void {
  const inode = stack.inode(ino);
  stack.change((batch) => {
    batch.change(inode);
    batch.setXattrs(inode, new Map(stack.xattrsOf(inode)));
  });
  if (inode.isFile) copyUp(stack, inode, true);
  if (!inode.isDirectory) return;
  for (const name of [...stack.list(inode).keys()]) {
    const entry = stack.lookup(inode, name);
    if (entry !== NO_ENTRY && isDerived(entryIno(entry))) takeOver(stack, entryIno(entry));
  }
}

/** The oldest origin of each inode: its state when a layer first recorded something about it. */
function* originsOver(
  { tables }: StoreEngine,
  tree: StoredTree,
  host: LayerId,
): Generator<[Ino, HostOrigin]> {
  const seen = new Set<Ino>();
  for (const layer of tree.chain.slice(0, tree.chain.indexOf(host)).reverse()) {
    for (const [ino, origin] of tables.origins.entries(layer)) {
      if (!seen.has(ino)) yield [ino, decodeHostOrigin(origin)];
      seen.add(ino);
    }
  }
}

/**
 * The origins of all files that the tree's layers over `host` recorded, by path from the root of the host tree: a byte
 * string without a leading slash.
 */
export function recordedOnHost(
  engine: StoreEngine,
  tree: StoredTree,
  host: LayerId,
): Map<string, HostOrigin> {
  return new Map([...originsOver(engine, tree, host)].map(([, origin]) => [origin.path, origin]));
}
