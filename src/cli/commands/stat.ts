/** `ramet stat`: figures of the store, of a tree, or the attributes of a file. */
import type { Command } from 'commander';
import { at, isSymlinkMode, nameToString, SECTOR_BYTES } from '../../base/index.ts';
import { attributesObject, modeText, typeWord } from '../attributes.ts';
import { examples } from '../examples.ts';
import { formatBytes, formatCount, printable, writeJson, writeLine } from '../output.ts';
import { type CommandSession, withSession } from '../session.ts';
import { treeObject } from '../tree-object.ts';
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

async function show(pairs: readonly (readonly [label: string, value: string])[]): Promise<void> {
  const width = Math.max(...pairs.map(([label]) => label.length));
  for (const [label, value] of pairs) await writeLine(`${label.padEnd(width)}  ${printable(value)}`);
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
  if (isJson) {
    await writeJson(figures);
    return;
  }
  await show([
    ['store', figures.store],
    ['system calls', figures.system],
    ['forks', formatCount(figures.forks)],
    ['snapshots', formatCount(figures.snapshots)],
    ['layers', `${formatCount(figures.layers)}, at most ${figures.depthMax} under one tree`],
    [
      'blobs',
      `${formatCount(figures.blobs)}, ${formatBytes(figures.blobBytes)}, ` +
        `${figures.blobsUnsealed} not sealed yet`,
    ],
    ['tables', `${formatCount(figures.tableRows)} rows, ${formatBytes(figures.tableBytes)}`],
  ]);
}

async function treeFigures(session: CommandSession, name: string): Promise<void> {
  const { engine, isJson } = session;
  const info = session.info(name);
  const depth = engine.chains.lengthOf(info);
  const object = { ...treeObject(info), layer: info.layer, depth };
  if (isJson) {
    await writeJson(object);
    return;
  }
  await show([
    ['name', object.name],
    ['kind', object.kind],
    ['made from', object.source],
    ['created', object.created],
    ['layer', `${object.layer}; ${depth} frozen ones from there down`],
  ]);
}

async function fileAttributes(session: CommandSession, { tree, path }: TreePath): Promise<void> {
  const { fileSystem } = await session.readTree(tree);
  const shown = showTreePath(tree, path);
  const attributes = at({ syscall: 'lstat', path: shown }, () => fileSystem.stat(path, false));
  const isLink = isSymlinkMode(attributes.mode);
  const target = isLink
    ? nameToString(at({ syscall: 'readlink', path: shown }, () => fileSystem.readLink(path)))
    : undefined;
  const xattrs = at({ syscall: 'listxattr', path: shown }, () => fileSystem.listXattrs(path, false)).map(
    nameToString,
  );
  const object = {
    path: shown,
    ...attributesObject(attributes),
    ...(target === undefined ? {} : { target }),
    xattrs,
  };
  if (session.isJson) {
    await writeJson(object);
    return;
  }
  const own = attributesObject(attributes);
  await show([
    ['path', shown],
    ['type', target === undefined ? typeWord(attributes.mode) : `symlink to ${target}`],
    ['mode', `${String(own.mode)} ${modeText(attributes.mode)}`],
    ['owner', `${attributes.uid}:${attributes.gid}`],
    ['links', String(attributes.nlink)],
    [
      'size',
      `${formatCount(attributes.size)} bytes, ${formatBytes(attributes.blocks * SECTOR_BYTES)} allocated`,
    ],
    ['inode', `${attributes.ino} on device ${attributes.dev}`],
    ['modified', String(own.mtime)],
    ['accessed', String(own.atime)],
    ['changed', String(own.ctime)],
    ['born', String(own.birthtime)],
    ...(xattrs.length > 0 ? ([['attributes', xattrs.join(', ')]] as const) : []),
  ]);
}
