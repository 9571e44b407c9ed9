/** `ramet rm`: removes files and directories of a fork. */
import type { Command } from 'commander';
import { at, DT_DIR, FsError, isDirectoryMode } from '../../base/index.ts';
import type { TreeFiles } from '../../vfs/index.ts';
import { examples } from '../command-line.ts';
import { counted, print } from '../output.ts';
import { usageError } from '../problem.ts';
import { withSession } from '../session.ts';
import { joinPath, requireTreePath, showTreePath } from '../tree-path.ts';

interface RmFlags {
  readonly recursive?: boolean;
  readonly force?: boolean;
}

export function register(program: Command): void {
  program
    .command('rm')
    .description('remove files of a fork')
    .argument('<files...>', 'FORK:/path')
    .option('-r, --recursive', 'remove directories, with everything in them')
    .option('-f, --force', 'ignore files that do not exist')
    .addHelpText('after', examples('ramet rm try-1:/src/x.ts', 'ramet rm -r try-1:/node_modules'))
    .action((texts: string[], flags: RmFlags, command: Command) => {
      const files = texts.map(requireTreePath);
      for (const { tree, path } of files) {
        if (/^\/*$/.test(path)) {
          throw usageError(`'${tree}:/' is a whole tree`, `\`ramet drop ${tree}\` removes it`);
        }
      }
      return withSession(command, async (session) => {
        let removed = 0;
        for (const { tree, path } of files) {
          const { fileSystem } = await session.writeTree(tree);
          removed += remove(fileSystem, path, showTreePath(tree, path), flags);
        }
        await print(session.isJson, { removed }, () => [`removed ${counted(removed, 'entry', 'entries')}`]);
      });
    });
}

function remove(fileSystem: TreeFiles, path: string, shown: string, flags: RmFlags): number {
  const attributes = at({ syscall: 'rm', path: shown }, () => fileSystem.tryStat(path, false));
  if (attributes === undefined) {
    if (flags.force === true) return 0;
    throw new FsError('ENOENT', { syscall: 'rm', path: shown });
  }
  if (!isDirectoryMode(attributes.mode)) {
    at({ syscall: 'rm', path: shown }, () => fileSystem.unlink(path));
    return 1;
  }
  if (flags.recursive !== true) throw new FsError('EISDIR', { syscall: 'rm', path: shown });
  return at({ syscall: 'rm', path: shown }, () => removeDirectory(fileSystem, path));
}

function removeDirectory(fileSystem: TreeFiles, path: string): number {
  let removed = 1;
  for (const { name, kind } of fileSystem.readDirectory(path)) {
    const child = joinPath(path, name);
    if (kind === DT_DIR) {
      removed += removeDirectory(fileSystem, child);
    } else {
      fileSystem.unlink(child);
      removed++;
    }
  }
  fileSystem.removeDirectory(path);
  return removed;
}
