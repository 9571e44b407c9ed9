/** `ramet stat`: shows figures of the store or of a tree, or the attributes of a file. */
import type { Command } from 'commander';
import { at, isSymlinkMode, nameToString, SECTOR_BYTES, wordOfMode } from '../../base/index.ts';
import { attributesObject, modeText, treeObject } from '../attributes.ts';
import { examples } from '../command-line.ts';
import { formatBytes, formatCount, print } from '../output.ts';
import { type CommandSession, withSession } from '../session.ts';
import { parseTreePath, showTreePath, type TreePath } from '../tree-path.ts';

export function register(program: Command): void {
  program
    .command('stat')
    .description('show figures of the store, of a tree, or the attributes of a file')
    .argument('[what]', 'NAME or NAME:/path; without it, the store')
    .addHelpText('after', examples('ramet stat', 'ramet stat try-1', 'ramet stat try-1:/src/x.ts'))
    .action((text: string | undefined, _flags: object, command: Command) =>
      withSession(command, (session) => {
        if (text === undefined) return storeFigures(session);
        const file = parseTreePath(text);
        return file === undefined ? treeFigures(session, text) : fileAttributes(session, file);
      }),
    );
}

function aligned(pairs: readonly (readonly [label: string, value: string])[]): string[] {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(([label, value]) => `${label.padEnd(width)}  ${value}`);
}

async function storeFigures({ engine, isJson, directory }: CommandSession): Promise<void> {
  const trees = engine.list();
  const { rowCount, fileBytes } = engine.tables.figures();
  const layers = [...engine.tables.layers.entries()];
  const blobs = [...engine.tables.blobs.entries()].map(([, blob]) => blob);
  const figures = {
    store: directory,
    system: engine.system.kind,
    forks: trees.filter((tree) => tree.kind === 'fork').length,
    snapshots: trees.filter((tree) => tree.kind === 'snapshot').length,
    layers: layers.length,
    depthMax: trees.reduce((most, tree) => Math.max(most, engine.chains.lengthOf(tree)), 0),
    blobs: blobs.length,
    blobsUnsealed: blobs.filter((blob) => blob.state === 'frozen').length,
    blobBytes: blobs.reduce((sum, blob) => sum + blob.lengthBytes, 0),
    tableRows: rowCount,
    tableBytes: fileBytes,
  };
  const blobSizes = `${formatCount(figures.blobs)}, ${formatBytes(figures.blobBytes)}`;
  await print(isJson, figures, () =>
    aligned([
      ['store', directory],
      ['system calls', figures.system],
      ['forks', formatCount(figures.forks)],
      ['snapshots', formatCount(figures.snapshots)],
      ['layers', `${formatCount(figures.layers)}, at most ${figures.depthMax} under one tree`],
      ['blobs', `${blobSizes}, ${figures.blobsUnsealed} not sealed yet`],
      ['tables', `${formatCount(rowCount)} rows, ${formatBytes(fileBytes)}`],
    ]),
  );
}

async function treeFigures(session: CommandSession, name: string): Promise<void> {
  const { engine, isJson } = session;
  const info = session.info(name);
  const depth = engine.chains.lengthOf(info);
  const tree = treeObject(info);
  await print(isJson, { ...tree, layer: info.layer, depth }, () =>
    aligned([
      ['name', name],
      ['kind', info.kind],
      ['made from', info.source],
      ['created', String(tree.created)],
      ['layer', `${info.layer}; ${depth} frozen ones from there down`],
    ]),
  );
}

async function fileAttributes(session: CommandSession, { tree, path }: TreePath): Promise<void> {
  const { fileSystem } = await session.readTree(tree);
  const shown = showTreePath(tree, path);
  const attributes = at({ syscall: 'lstat', path: shown }, () => fileSystem.stat(path, false));
  const target = isSymlinkMode(attributes.mode)
    ? nameToString(at({ syscall: 'readlink', path: shown }, () => fileSystem.readLink(path)))
    : undefined;
  const xattrs = at({ syscall: 'listxattr', path: shown }, () => fileSystem.listXattrs(path, false)).map(
    nameToString,
  );
  const { mode, uid, gid, nlink, size, blocks, ino, dev } = attributes;
  const own = attributesObject(attributes);
  const object = { path: shown, ...own, ...(target === undefined ? {} : { target }), xattrs };
  await print(session.isJson, object, () =>
    aligned([
      ['path', shown],
      ['type', target === undefined ? wordOfMode(mode) : `symlink to ${target}`],
      ['mode', `${String(own.mode)} ${modeText(mode)}`],
      ['owner', `${uid}:${gid}`],
      ['links', String(nlink)],
      ['size', `${formatCount(size)} bytes, ${formatBytes(blocks * SECTOR_BYTES)} allocated`],
      ['inode', `${ino} on device ${dev}`],
      ['modified', String(own.mtime)],
      ['accessed', String(own.atime)],
      ['changed', String(own.ctime)],
      ['born', String(own.birthtime)],
      ...(xattrs.length > 0 ? ([['attributes', xattrs.join(', ')]] as const) : []),
    ]),
  );
}
