/** Commits or merges; a test kills this process. Arguments: `commit STORE FORK` or `merge STORE FROM INTO`. */
import { commitTree, mergeTrees } from '../../src/lifecycle/index.ts';
import { StoreEngine } from '../../src/store/index.ts';

const [operation, directory, from, into] = process.argv.slice(2) as [string, string, string, string];
const engine = await StoreEngine.open(directory);
process.stdout.write('ready\n');
if (operation === 'commit') await commitTree(engine, from);
else await mergeTrees(engine, from, into);
await engine.close();
