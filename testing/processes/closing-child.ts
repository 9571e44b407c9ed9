/** Opens a store, and closes it when asked to. */
import { StoreEngine } from '../../src/store/index.ts';
import { answerAll } from './child.ts';

const engine = await StoreEngine.open(process.argv[2]!);
engine.createEmpty(`fork-${process.pid}`).close();
answerAll(async () => {
  await engine.close();
  return 'closed';
});
process.send!('ready');
