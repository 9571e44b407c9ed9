/** `ramet cat`: writes the content of files to stdout. */
import type { Command } from 'commander';
import { at } from '../../base/index.ts';
import { O_RDONLY } from '../../sys/index.ts';
import type { TreeFiles } from '../../vfs/index.ts';
import { examples } from '../command-line.ts';
import { BrokenPipeError, write } from '../output.ts';
import { EXIT_FAILURE, reportProblem } from '../problem.ts';
import { withSession } from '../session.ts';
import { requireTreePath, showTreePath } from '../tree-path.ts';

const PIECE_BYTES = 1024 * 1024;

export function register(program: Command): void {
  program
    .command('cat')
    .description('write files to stdout')
    .argument('<files...>', 'NAME:/path')
    .addHelpText('after', examples('ramet cat try-1:/src/x.ts', 'ramet cat base:/a base:/b | less'))
    .action((texts: string[], _flags: object, command: Command) => {
      const files = texts.map(requireTreePath);
      return withSession(command, async (session) => {
        for (const { tree, path } of files) {
          try {
            const { fileSystem } = await session.readTree(tree);
            await writeFile(fileSystem, path, showTreePath(tree, path));
          } catch (error) {
            if (error instanceof BrokenPipeError) throw error;
            // Like cat(1): report the problem, go on with the next file, and fail at the end.
            reportProblem(error, session.isJson);
            process.exitCode = EXIT_FAILURE;
          }
        }
      });
    });
}

async function writeFile(fileSystem: TreeFiles, path: string, shown: string): Promise<void> {
  const file = at({ syscall: 'open', path: shown }, () => fileSystem.open(path, O_RDONLY, 0));
  try {
    for (let position = 0; ; ) {
      // Use a fresh buffer each time, because the stream may keep the last buffer until its reader is ready.
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      const from = position;
      const bytes = at({ syscall: 'read', path: shown }, () =>
        fileSystem.read(file, piece, 0, piece.length, from),
      );
      if (bytes === 0) return;
      await write(piece.subarray(0, bytes));
      position += bytes;
    }
  } finally {
    fileSystem.close(file);
  }
}
