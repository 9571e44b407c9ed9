/** `ramet rollback`: a fork becomes what a snapshot is. */
import type { Command } from 'commander';
import { freeName, replaceTree } from '../../store/index.ts';
import { examples } from '../examples.ts';
import { writeJson, writeLine } from '../output.ts';
import { namedTreeError, withSession } from '../session.ts';

export function register(program: Command): void {
  program
    .command('rollback')
    .description('make a fork equal to a snapshot; its former state is kept as a snapshot')
    .argument('<fork>', 'the fork')
    .argument('<snapshot>', 'what it becomes')
    .option('--discard', 'keep no snapshot of its former state')
    .addHelpText('after', examples('ramet rollback try-1 done', 'ramet rollback try-1 base --discard'))
    .action((fork: string, snapshot: string, flags: { readonly discard?: boolean }, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson } = session;
        await session.requireFree(fork, 'roll it back');
        session.info(snapshot);
        const keptAs = flags.discard === true ? undefined : freeName(engine, `${fork}.before-rollback`);
        try {
          replaceTree(engine, fork, snapshot, { keepAs: keptAs });
        } catch (error) {
          throw namedTreeError(fork, error);
        }
        if (isJson) await writeJson({ fork, snapshot, keptAs: keptAs ?? null });
        else {
          const kept = keptAs === undefined ? '' : `; what it was is the snapshot '${keptAs}'`;
          await writeLine(`'${fork}' is what '${snapshot}' is${kept}`);
        }
      }),
    );
}
