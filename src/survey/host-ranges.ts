/** What forks of a directory have of its files: ranges that still lie there, and what the files were. */
import { type Ino, isFsError, type LayerId } from '../base/index.ts';
import { isExternal } from '../blob/index.ts';
import { copyUp, type LayerStack } from '../layer/index.ts';
import { decodeHostOrigin, entryIno, type HostOrigin, isDerived, NO_ENTRY } from '../lower/index.ts';
import type { StoredTree, StoreEngine } from '../store/index.ts';
import { TreePaths } from './tree-paths.ts';

/** The files of a tree over the host layer `host` that have ranges which lie in files of the host. */
function* filesOnHost(tree: StoredTree, host: LayerId): Generator<Ino> {
  for (const ino of new Set(tree.inosAbove(host))) {
    const record = tree.record(ino);
    if (record === undefined || record.extentLayer === 0 || record.extentLayer === host) continue;
    if (tree.runs(ino, record).some(({ blob }) => isExternal(blob))) yield ino;
  }
}

/**
 * Makes a fork's own what it is about to put into the directory and still takes from another place there: the ranges of
 * changed files, and all of what was renamed. From then on nothing that is replaced or removed in the directory is
 * missing in the fork. ESTALE where the host files have changed; ENOSPC; EBUSY while the fork is open elsewhere.
 */
export function settleOnHost(engine: StoreEngine, fork: string, host: LayerId): void {
  const tree = engine.openTree(fork);
  try {
    tree.checkpoint();
    const stored = engine.chains.storedTree(tree.info);
    const taken = [...filesOnHost(stored, host)];
    const moved = movedOnHost(engine, stored, host);
    for (const ino of taken) takeOrLeave(tree.stack, ino);
    for (const ino of moved) takeOver(tree.stack, ino);
  } catch (error) {
    throw isFsError(error) ? error.in({ syscall: 'commit', path: fork }) : error;
  } finally {
    tree.close();
  }
}

/** A file whose bytes are lost to the fork, since the host has changed them, is a conflict of its own. */
function takeOrLeave(stack: LayerStack, ino: Ino): void {
  try {
    takeOver(stack, ino);
  } catch (error) {
    if (!isFsError(error, 'ESTALE')) throw error;
  }
}

/** Recorded inodes of the host that do not lie, in the fork, where the host has them. */
function movedOnHost(engine: StoreEngine, tree: StoredTree, host: LayerId): Ino[] {
  const paths = new TreePaths(tree);
  const recorded = new Map<Ino, string>();
  for (const { ino, origin } of originsOver(engine, tree, host)) recorded.set(ino, origin.path);
  const moved: Ino[] = [];
  for (const [ino, places] of paths.of(recorded.keys())) {
    if (places.some((place) => paths.path(place) !== `/${recorded.get(ino)}`)) moved.push(ino);
  }
  return moved;
}

/** Records an inode with its bytes, and with all that is in it. */
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

interface RecordedOrigin {
  readonly ino: Ino;
  readonly origin: HostOrigin;
}

/** Of each inode the oldest: what it was when something was first recorded of it. */
function* originsOver({ tables }: StoreEngine, tree: StoredTree, host: LayerId): Generator<RecordedOrigin> {
  const seen = new Set<Ino>();
  for (const layer of tree.chain.slice(0, tree.chain.indexOf(host)).reverse()) {
    for (const [ino, origin] of tables.origins.entries(layer)) {
      if (!seen.has(ino)) yield { ino, origin: decodeHostOrigin(origin) };
      seen.add(ino);
    }
  }
}

/**
 * What the host had at each path, from the root of its tree, when the tree's layers over `host` first recorded
 * something of the file there. Paths are byte strings without a slash before them.
 */
export function recordedOnHost(
  engine: StoreEngine,
  tree: StoredTree,
  host: LayerId,
): Map<string, HostOrigin> {
  return new Map([...originsOver(engine, tree, host)].map(({ origin }) => [origin.path, origin]));
}
