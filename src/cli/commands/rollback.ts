/** `ramet rollback`: makes a fork equal to a snapshot. */
import type { Command } from 'commander';
import { freeName, replaceTree } from '../../store/index.ts';
import { examples } from '../command-line.ts';
import { print } from '../output.ts';
import { namingTrees, withSession } from '../session.ts';

export function register(program: Command): void {
  program
    .command('rollback')
    .description('make a fork equal to a snapshot; its former state is kept as a snapshot')
    .argument('<fork>', 'the fork')
    .argument('<snapshot>', 'the snapshot that the fork becomes equal to')
    .option('--discard', 'keep no snapshot of its former state')
    .addHelpText('after', examples('ramet rollback try-1 done', 'ramet rollback try-1 base --discard'))
    .action((fork: string, snapshot: string, flags: { readonly discard?: boolean }, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson } = session;
        await session.requireFree(fork, 'roll it back');
        session.info(snapshot);
        const keptAs = flags.discard === true ? undefined : freeName(engine, `${fork}.before-rollback`);
        await namingTrees([fork], () => replaceTree(engine, fork, snapshot, { keepAs: keptAs }));
        const kept = keptAs === undefined ? '' : `; its former state is the snapshot '${keptAs}'`;
        await print(isJson, { fork, snapshot, keptAs: keptAs ?? null }, () => [
          `'${fork}' is now equal to '${snapshot}'${kept}`,
        ]);
      }),
    );
}
