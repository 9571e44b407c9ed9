/** `ramet init`: makes a store. */
import type { Command } from 'commander';
import { StoreEngine } from '../../store/index.ts';
import { examples } from '../examples.ts';
import { writeJson, writeLine } from '../output.ts';
import { type GlobalOptions, storeDirectory } from '../session.ts';

export function register(program: Command): void {
  program
    .command('init')
    .description('make a store')
    .addHelpText('after', examples('ramet init', 'ramet init --store /data/trees'))
    .action(async (_options: object, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      const directory = storeDirectory(options);
      StoreEngine.initialize(directory, options.trustStore);
      if (options.json === true) await writeJson({ store: directory });
      else await writeLine(`made a store in ${directory}`);
    });
}
