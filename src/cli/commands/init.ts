/** `ramet init`: makes a store. */
import type { Command } from 'commander';
import { StoreEngine } from '../../store/index.ts';
import { examples } from '../command-line.ts';
import { print } from '../output.ts';
import { storePlaceOf } from '../session.ts';

export function register(program: Command): void {
  program
    .command('init')
    .description('make a store')
    .addHelpText('after', examples('ramet init', 'ramet init --store /data/trees'))
    .action(async (_flags: object, command: Command) => {
      const { directory: store, isJson, trustStore } = storePlaceOf(command);
      StoreEngine.initialize(store, trustStore);
      await print(isJson, { store }, () => [`made a store in ${store}`]);
    });
}
