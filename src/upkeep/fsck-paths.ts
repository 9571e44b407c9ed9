/** Names of the files that damaged blocks belong to, for messages. */
import { type BlobId, DT_DIR, type Ino, type LayerId, nameToString } from '../base/index.ts';
import type { Checked } from './fsck-findings.ts';
import { LayerView } from './layer-view.ts';

/** Names in one message; the thousandth fork of a tree says nothing new. */
const NAMES_MAX = 8;

/** Stands for every block of a blob. */
export const ANY_BLOCK = -1;

/** What is said of blocks that no tree shows any more. */
export const NO_FILE = 'no named file';

interface Block {
  readonly blob: BlobId;
  readonly block: number;
}

/** Looks the files up once and returns a function that says, for each of the blocks, `tree:/path` of all it is in. */
export function nameFiles(
  checked: Checked,
  blocks: readonly Block[],
): (blob: BlobId, block: number) => string {
  const wanted = new Set(blocks.map(({ blob }) => blob));
  const names = new Map<string, string[]>();
  const holders = holdersOf(checked, wanted, blocks);
  for (const [tree, { layer, root }] of checked.engine.tables.trees.entries()) {
    const view = new LayerView(checked.engine.tables, checked.layers, layer);
    const shown = holders.map(({ layer: holder, ino }) => view.shownAs(holder, ino));
    const inos = new Set(shown.flat());
    if (inos.size === 0) continue;
    const paths = pathsOf(view, root, inos);
    for (const [index, { key }] of holders.entries()) {
      const list = names.get(key) ?? [];
      for (const path of shown[index]!.flatMap((ino) => paths.get(ino) ?? []))
        if (!list.includes(`${tree}:${path}`)) list.push(`${tree}:${path}`);
      names.set(key, list);
    }
  }
  return (blob, block) => describe(names.get(keyOf(blob, block)) ?? []);
}

function describe(names: readonly string[]): string {
  if (names.length === 0) return NO_FILE;
  const shown = names.slice(0, NAMES_MAX).join(', ');
  return names.length > NAMES_MAX ? `${shown} and ${names.length - NAMES_MAX} more` : shown;
}

function keyOf(blob: BlobId, block: number): string {
  return `${blob} ${block}`;
}

/** The inodes, each in the layer that has its extents, that name one of the blocks. */
function holdersOf(
  { engine, layers }: Checked,
  wanted: ReadonlySet<BlobId>,
  blocks: readonly Block[],
): { readonly layer: LayerId; readonly ino: Ino; readonly key: string }[] {
  const holders: { layer: LayerId; ino: Ino; key: string }[] = [];
  for (const layer of layers.keys()) {
    for (const { ino, runs } of engine.tables.extents.forLayer(layer)) {
      for (const run of runs) {
        if (!wanted.has(run.blob)) continue;
        for (const { blob, block } of blocks) {
          const isHit = block === ANY_BLOCK || (block >= run.physical && block < run.physical + run.count);
          if (blob !== run.blob || !isHit) continue;
          holders.push({ layer, ino, key: keyOf(blob, block) });
        }
      }
    }
  }
  return holders;
}

/** The paths of some inodes of a tree. */
function pathsOf(view: LayerView, root: Ino, inos: ReadonlySet<Ino>): Map<Ino, string[]> {
  const paths = new Map<Ino, string[]>();
  const directories: { readonly path: string; readonly ino: Ino }[] = [{ path: '', ino: root }];
  for (let next = directories.pop(); next !== undefined; next = directories.pop()) {
    for (const [name, { ino, kind }] of view.names(next.ino)) {
      const path = `${next.path}/${nameToString(name)}`;
      if (kind === DT_DIR) directories.push({ path, ino });
      if (inos.has(ino)) paths.set(ino, [...(paths.get(ino) ?? []), path]);
    }
  }
  return paths;
}
