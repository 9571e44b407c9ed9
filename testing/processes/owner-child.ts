/** Opens a fork and writes files into it, until it is killed. */
import { FsError } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { patternBytes, writeFile } from '../stores/shared-store.ts';
import { answerAll } from './child.ts';

const [directory, name] = process.argv.slice(2);
const engine = await StoreEngine.open(directory!);
try {
  const tree = engine.openTree(name!);
  answerAll<{ readonly files: number }>(({ files }) => {
    for (let file = 0; file < files; file++) writeFile(tree, `/f${file}`, patternBytes(100 + file, file));
    return files;
  });
  process.send!('ready');
} catch (error) {
  if (!(error instanceof FsError)) throw error;
  process.send!(error.code);
}
