/** `ramet ls`: the forks and snapshots of the store, or the files of a directory in one. */
import type { Command } from 'commander';
import { at, isDirectoryMode, isSymlinkMode, nameToString } from '../../base/index.ts';
import type { Attributes, TreeFiles } from '../../vfs/index.ts';
import { attributesObject, modeText } from '../attributes.ts';
import { examples } from '../examples.ts';
import { formatTime, isoTime, printable, writeJson, writeLine, writeTable } from '../output.ts';
import { usageError } from '../problem.ts';
import { type CommandSession, withSession } from '../session.ts';
import { baseName, joinPath, showTreePath, treePathOrRoot } from '../tree-path.ts';

interface LsFlags {
  readonly long?: boolean;
  readonly mounts?: boolean;
}

interface ListedFile {
  readonly name: string;
  readonly attributes: Attributes;
  readonly target: string | undefined;
}

export function register(program: Command): void {
  program
    .command('ls')
    .description('list forks and snapshots, or the files of a directory in one')
    .argument('[path]', 'NAME or NAME:/path')
    .option('-l, --long', 'with mode, links, owner, size and time')
    .option('--mounts', 'list mounts instead')
    .addHelpText(
      'after',
      examples('ramet ls', 'ramet ls try-1:/src', 'ramet ls -l try-1:/src/x.ts', 'ramet ls --mounts'),
    )
    .action((text: string | undefined, flags: LsFlags, command: Command) => {
      if (flags.mounts === true && text !== undefined)
        throw usageError('--mounts lists all mounts of the store', 'leave out the path');
      return withSession(command, (session) => {
        if (flags.mounts === true) return listMounts(session);
        return text === undefined ? listTrees(session) : listFiles(session, text, flags.long === true);
      });
    });
}

async function listMounts({ trees, isJson }: CommandSession): Promise<void> {
  const mounts = await trees.mounted.list();
  if (isJson) {
    await writeJson(mounts);
    return;
  }
  if (mounts.length === 0) {
    await writeLine('nothing is mounted: `ramet mount FORK DIR` mounts a fork');
    return;
  }
  await writeTable(
    [{ title: 'NAME' }, { title: 'DIRECTORY' }, { title: 'IO' }, { title: 'SINCE' }, { title: 'USED BY' }],
    mounts.map(({ fork, directory, io, since, holders, isDetached, users }) => [
      fork,
      isDetached ? `${directory} (unmounted)` : directory,
      io,
      formatTime(Date.parse(since) / 1000),
      [...holders, ...users].join(', '),
    ]),
  );
}

async function listTrees({ engine, isJson }: CommandSession): Promise<void> {
  const trees = engine.list();
  if (isJson) {
    await writeJson(
      trees.map(({ name, kind, source, created, id }) => ({
        name,
        kind,
        source,
        created: isoTime(created.seconds, created.nanoseconds),
        id,
      })),
    );
    return;
  }
  if (trees.length === 0) {
    await writeLine('no forks or snapshots yet: `ramet import DIR` makes the first');
    return;
  }
  await writeTable(
    [{ title: 'NAME' }, { title: 'KIND' }, { title: 'FROM' }, { title: 'CREATED' }],
    trees.map(({ name, kind, source, created }) => [name, kind, source, formatTime(created.seconds)]),
  );
}

async function listFiles(session: CommandSession, text: string, isLong: boolean): Promise<void> {
  const { tree, path } = treePathOrRoot(text);
  const { fileSystem } = await session.readTree(tree);
  const shown = showTreePath(tree, path);
  const attributes = at({ syscall: 'ls', path: shown }, () => fileSystem.stat(path, !isLong));
  const files = isDirectoryMode(attributes.mode)
    ? at({ syscall: 'scandir', path: shown }, () => filesIn(fileSystem, path))
    : [fileAt(fileSystem, path, baseName(path))];
  if (session.isJson) {
    await writeJson(
      files.map(({ name, attributes: own, target }) => ({
        name: nameToString(name),
        ...attributesObject(own),
        ...(target === undefined ? {} : { target: nameToString(target) }),
      })),
    );
  } else if (isLong) {
    await writeTable(
      [
        { title: 'MODE' },
        { title: 'LINKS', align: 'right' },
        { title: 'UID', align: 'right' },
        { title: 'GID', align: 'right' },
        { title: 'SIZE', align: 'right' },
        { title: 'MODIFIED' },
        { title: 'NAME' },
      ],
      files.map(longRow),
    );
  } else {
    for (const file of files)
      await writeLine(printable(nameToString(file.name)) + mark(file.attributes.mode));
  }
}

function fileAt(fileSystem: TreeFiles, path: string, name: string): ListedFile {
  const attributes = fileSystem.stat(path, false);
  const target = isSymlinkMode(attributes.mode) ? fileSystem.readLink(path) : undefined;
  return { name, attributes, target };
}

function filesIn(fileSystem: TreeFiles, path: string): ListedFile[] {
  return fileSystem
    .readDirectoryNames(path)
    .sort((a, b) => (a < b ? -1 : 1))
    .map((name) => fileAt(fileSystem, joinPath(path, name), name));
}

function longRow({ name, attributes, target }: ListedFile): string[] {
  const arrow = target === undefined ? '' : ` -> ${nameToString(target)}`;
  return [
    modeText(attributes.mode),
    String(attributes.nlink),
    String(attributes.uid),
    String(attributes.gid),
    String(attributes.size),
    formatTime(attributes.mtimeSeconds),
    nameToString(name) + arrow,
  ];
}

/** As `ls -F`: a slash behind a directory, an at sign behind a symlink. */
function mark(mode: number): string {
  if (isDirectoryMode(mode)) return '/';
  return isSymlinkMode(mode) ? '@' : '';
}
