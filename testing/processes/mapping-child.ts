/** Opens a fork and maps its file. For each message it overwrites a page, if asked to, and sends the pages' frames. */
import { BLOCK_SIZE } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { answerAll } from './child.ts';

const O_RDWR = 0o2;

export interface MappingMessage {
  /** The page to overwrite first. */
  readonly write?: number;
}

export interface MappingAnswer {
  readonly frames: readonly number[];
  /** The first byte of each page. */
  readonly bytes: readonly number[];
}

const [directory, name] = process.argv.slice(2);
const engine = await StoreEngine.open(directory!);
const { fileSystem } = engine.openTree(name!);
const file = fileSystem.open('/file', O_RDWR, 0);
const view = fileSystem.map(file);

answerAll<MappingMessage>(({ write }): MappingAnswer => {
  if (write !== undefined)
    fileSystem.write(file, Buffer.alloc(BLOCK_SIZE, 200), 0, BLOCK_SIZE, write * BLOCK_SIZE);
  const bytes: number[] = [];
  for (let at = 0; at < view.bytes.length; at += BLOCK_SIZE) bytes.push(view.bytes[at]!);
  return { frames: engine.system.frameNumbers(view.address, view.bytes.length / BLOCK_SIZE), bytes };
});
process.send!('ready');
