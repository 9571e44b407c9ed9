/** Component trees of unions: drawn at random, written into forks and host directories, and read back. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { nameFromString, nameToString } from '../../src/base/index.ts';
import type { StoreEngine, Tree } from '../../src/store/index.ts';
import type { System } from '../../src/sys/index.ts';
import { makeNode, writeXattr } from '../host/by-path.ts';
import { readFile, writeFile } from '../stores/shared-store.ts';
import type { ModelDirectory, ModelNode } from '../trees/memory-lower.ts';

const S_IFCHR = 0o020000;
const DT_DIR = 4;
const DT_LNK = 10;
const OPAQUE = 'trusted.overlay.opaque';

/** Names that differ only in case, or only in their Unicode normal form, are different names. */
const NAMES = ['a', 'A', 'b', 'c', 'é', 'e\u0301'];

/** A directory of the given depth; without `marks` it is one that hides nothing. */
export function componentTrees(marks = true): fc.Arbitrary<ModelDirectory> {
  const { tree } = fc.letrec<{ node: ModelNode; tree: ModelDirectory }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'medium', maxDepth: 4 },
      fc.record({ is: fc.constant('file' as const), content: fc.string({ minLength: 1, maxLength: 4 }) }),
      ...(marks ? [fc.constant({ is: 'whiteout' as const })] : []),
      tie('tree'),
      tie('tree'),
    ),
    tree: fc.record({
      is: fc.constant('directory' as const),
      isOpaque: marks ? fc.integer({ max: 5, min: 0 }).map((drawn) => drawn === 5) : fc.constant(false),
      names: fc.dictionary(fc.constantFrom(...NAMES), tie('node'), { maxKeys: 5 }),
    }),
  }));
  return tree;
}

/** Makes the entries of a directory in a tree equal to those of the model. */
export function writeTree(tree: Tree, model: ModelDirectory, path = ''): void {
  const { fileSystem } = tree;
  for (const { name, kind } of fileSystem.readDirectory(path === '' ? '/' : path)) {
    const node = model.names[nameToString(name)];
    if (node?.is !== 'directory' || kind !== DT_DIR) removeAll(tree, `${path}/${name}`);
  }
  const at = path === '' ? '/' : path;
  const isOpaque = fileSystem.listXattrs(at, true).includes(OPAQUE);
  if (model.isOpaque === true) fileSystem.setXattr(at, OPAQUE, Buffer.from('y'), 0, true);
  else if (isOpaque) fileSystem.removeXattr(at, OPAQUE, true);
  for (const [text, node] of Object.entries(model.names)) {
    const child = `${path}/${nameFromString(text)}`;
    if (node.is === 'whiteout') fileSystem.makeNode(child, S_IFCHR, 0);
    else if (node.is === 'file') writeFile(tree, child, Buffer.from(node.content));
    else {
      if (fileSystem.tryStat(child, false) === undefined) fileSystem.makeDirectory(child, 0o755);
      writeTree(tree, node, child);
    }
  }
}

export function removeAll(tree: Tree, path: string): void {
  const { fileSystem } = tree;
  if ((fileSystem.stat(path, false).mode & 0o170000) !== 0o040000) {
    fileSystem.unlink(path);
    return;
  }
  for (const name of fileSystem.readDirectoryNames(path)) removeAll(tree, `${path}/${name}`);
  fileSystem.removeDirectory(path);
}

/** Makes a snapshot of a model. With `earlier` models, which the tree holds first, the snapshot stands on a chain. */
export function makeSnapshot(
  engine: StoreEngine,
  name: string,
  model: ModelDirectory,
  earlier: readonly ModelDirectory[] = [],
): void {
  const tree = engine.createEmpty(`${name}-made`);
  for (const one of [...earlier, model]) {
    writeTree(tree, one);
    engine.freeze(tree);
  }
  tree.close();
  engine.snapshot(`${name}-made`, name);
  engine.drop(`${name}-made`);
}

/** `path → content` of files, `path/ → ''` of directories. */
export function shownBy(tree: Tree, path = ''): Map<string, string> {
  const shown = new Map<string, string>();
  for (const { name, kind } of tree.fileSystem.readDirectory(path === '' ? '/' : path)) {
    const [child, text] = [`${path}/${name}`, `${path}/${name}`];
    if (kind === DT_DIR) {
      shown.set(`${nameToString(text)}/`, '');
      for (const [inside, content] of shownBy(tree, child)) shown.set(inside, content);
    } else if (kind !== DT_LNK) shown.set(nameToString(text), readFile(tree, child).toString());
  }
  return shown;
}

/** A model as a host directory, in the form that the kernel's overlayfs accepts as a lower layer. */
export function writeHostTree(system: System, model: ModelDirectory, path: string): void {
  mkdirSync(path);
  chmodSync(path, 0o755);
  if (model.isOpaque === true) writeXattr(system, path, OPAQUE, Buffer.from('y'));
  for (const [name, node] of Object.entries(model.names)) {
    const child = join(path, name);
    if (node.is === 'whiteout') makeNode(system, child, S_IFCHR, 0);
    else if (node.is === 'file') writeFileSync(child, node.content);
    else writeHostTree(system, node, child);
  }
}

/** Like `shownBy`, for a host directory. In directories that are not merged the kernel lists whiteouts as names. */
export function shownByHost(directory: string, path = ''): Map<string, string> {
  const shown = new Map<string, string>();
  for (const name of readdirSync(directory)) {
    const stat = lstatSync(join(directory, name), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (stat.isDirectory()) {
      shown.set(`${path}/${name}/`, '');
      for (const [inside, content] of shownByHost(join(directory, name), `${path}/${name}`)) {
        shown.set(inside, content);
      }
    } else shown.set(`${path}/${name}`, readFileSync(join(directory, name), 'utf8'));
  }
  return shown;
}

export function sorted(shown: ReadonlyMap<string, string>): [string, string][] {
  return [...shown].sort(([a], [b]) => (a < b ? -1 : 1));
}
