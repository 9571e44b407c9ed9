/** Names of the files that damaged blocks belong to, for messages. */
import { type BlobId, DT_DIR, type Ino, type LayerId, nameToString } from '../base/index.ts';
import type { FrozenTree } from '../lower/index.ts';
import type { Checked } from './fsck-findings.ts';
import { layerView } from './layer-view.ts';

/** The most names in one message, because the thousandth fork of a tree adds nothing new. */
const NAMES_MAX = 8;

/** The value of `block` that stands for any block of the blob. */
export const ANY_BLOCK = -1;

/** Stands in for the names if no tree shows the block any more. */
export const NO_FILE = 'no named file';

export interface DamagedBlock {
  readonly blob: BlobId;
  readonly block: number;
  readonly problem: string;
}

/** Returns for each block, in order, the names (`tree:/path`) of the files that contain it, as one text. */
export function nameFiles(checked: Checked, blocks: readonly DamagedBlock[]): string[] {
  const names = blocks.map((): Set<string> => new Set());
  const holders = holdersOf(checked, blocks);
  const { tables } = checked.engine;
  for (const [tree, { layer, root }] of holders.length === 0 ? [] : tables.trees.entries()) {
    const view = layerView(tables, checked.layers, layer);
    const shown = holders.map(({ layer: holder, ino }) => view.shownAs(holder, ino));
    const paths = pathsOf(view, root, new Set(shown.flat()));
    for (const [at, { index }] of holders.entries()) {
      for (const path of shown[at]!.flatMap((ino) => paths.get(ino) ?? []))
        names[index]!.add(`${tree}:${path}`);
    }
  }
  return names.map((set) => describe([...set]));
}

function describe(names: readonly string[]): string {
  if (names.length === 0) return NO_FILE;
  const shown = names.slice(0, NAMES_MAX).join(', ');
  return names.length > NAMES_MAX ? `${shown} and ${names.length - NAMES_MAX} more` : shown;
}

/** The inodes whose extents contain one of the blocks, each with the layer of the extents and the block's index. */
function holdersOf(
  { engine, layers }: Checked,
  blocks: readonly DamagedBlock[],
): { readonly layer: LayerId; readonly ino: Ino; readonly index: number }[] {
  const holders: { layer: LayerId; ino: Ino; index: number }[] = [];
  const blobs = new Set(blocks.map(({ blob }) => blob));
  for (const layer of blocks.length === 0 ? [] : layers.keys()) {
    for (const { ino, runs } of engine.tables.extents.forLayer(layer)) {
      for (const run of runs) {
        if (!blobs.has(run.blob)) continue;
        for (const [index, { blob, block }] of blocks.entries()) {
          const isHit = block === ANY_BLOCK || (block >= run.physical && block < run.physical + run.count);
          if (blob === run.blob && isHit) holders.push({ layer, ino, index });
        }
      }
    }
  }
  return holders;
}

/** All paths of these inodes in a tree. */
function pathsOf(view: FrozenTree, root: Ino, inos: ReadonlySet<Ino>): Map<Ino, string[]> {
  const paths = new Map<Ino, string[]>();
  if (inos.size === 0) return paths;
  const seen = new Set([root]);
  const directories: { readonly path: string; readonly ino: Ino }[] = [{ path: '', ino: root }];
  for (let next = directories.pop(); next !== undefined; next = directories.pop()) {
    for (const { name, dentry } of view.names(next.ino)) {
      const path = `${next.path}/${nameToString(name)}`;
      if (dentry.kind === DT_DIR && !seen.has(dentry.ino)) {
        seen.add(dentry.ino);
        directories.push({ path, ino: dentry.ino });
      }
      if (inos.has(dentry.ino)) paths.set(dentry.ino, [...(paths.get(dentry.ino) ?? []), path]);
    }
  }
  return paths;
}
