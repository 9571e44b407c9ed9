/** `ramet cp`: copies files between forks and the host, and from fork to fork. */
import path from 'node:path';
import type { Command } from 'commander';
import { nameFromString } from '../../base/index.ts';
import { examples } from '../command-line.ts';
import { type CopyCounts, type CopyPlace, copyAll } from '../copy.ts';
import { HostCopies, TreeEnd } from '../copy-end.ts';
import { counted, formatBytes, type Lines, print } from '../output.ts';
import { usageError } from '../problem.ts';
import { type CommandSession, withSession } from '../session.ts';
import { parseTreePath } from '../tree-path.ts';

interface CpFlags {
  readonly recursive?: boolean;
  readonly preserve?: boolean;
}

export function register(program: Command): void {
  program
    .command('cp')
    .description('copy files between forks and the host, or from fork to fork (sharing their blocks)')
    .argument(
      '<paths...>',
      'sources, then the destination: NAME:/path or a host path (./a:b for one with a colon)',
    )
    .option('-r, --recursive', 'copy directories, with everything in them')
    .option('-p, --preserve', 'keep owner, times and extended attributes')
    .addHelpText(
      'after',
      examples(
        'ramet cp ./patch.ts try-1:/src/patch.ts',
        'ramet cp -r try-1:/dist ./dist',
        'ramet cp -r base:/node_modules try-1:/node_modules',
      ),
    )
    .action((paths: string[], flags: CpFlags, command: Command) => {
      const destination = paths[paths.length - 1]!;
      const sources = paths.slice(0, -1);
      if (sources.length === 0)
        throw usageError('cp needs a source and a destination', 'see `ramet cp --help`');
      if (paths.every((text) => parseTreePath(text) === undefined)) {
        throw usageError('neither side lies in a fork or snapshot', 'write NAME:/path for one of them');
      }
      return withSession(command, async (session) =>
        print(session.isJson, await copy(session, sources, destination, flags), tell),
      );
    });
}

function* tell({ reflinks, files, bytes, attributesLeftOut }: CopyCounts): Lines {
  const sharing = counted(reflinks, 'of them shares', 'of them share');
  const shared = reflinks > 0 ? `, ${sharing} the source's blocks` : '';
  yield `copied ${counted(files, 'file')}, ${formatBytes(bytes)}${shared}`;
  for (const name of attributesLeftOut) yield `note: attribute '${name}' left out: it cannot be set there`;
}

async function copy(
  session: CommandSession,
  sources: readonly string[],
  destination: string,
  flags: CpFlags,
): Promise<CopyCounts> {
  const host = new HostCopies(session.engine.system);
  const recursive = flags.recursive === true;
  try {
    // Open the destination first, so that a fork that is also a source is open for writing.
    const to =
      (await treePlace(session, destination, true)) ?? host.place(destination, (isDirectory) => isDirectory);
    const from: CopyPlace[] = [];
    for (const source of sources) {
      const name = nameFromString(path.basename(path.resolve(source)));
      // Without -r, follow a symlink on the command line, like cp(1).
      from.push(
        (await treePlace(session, source, false)) ?? { ...host.place(source, () => !recursive), name },
      );
    }
    return await copyAll(from, to, { recursive, preserve: flags.preserve === true });
  } finally {
    host.close();
  }
}

/** The place in a fork or snapshot that `text` names; undefined if it is a path of the host. */
async function treePlace(
  session: CommandSession,
  text: string,
  isWritten: boolean,
): Promise<CopyPlace | undefined> {
  const parsed = parseTreePath(text);
  if (parsed === undefined) return undefined;
  const tree = await (isWritten ? session.writeTree(parsed.tree) : session.readTree(parsed.tree));
  return { end: new TreeEnd(parsed.tree, tree.fileSystem, session.trees.mounted), path: parsed.path };
}
