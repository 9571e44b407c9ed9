/**
 * Collects garbage until it is told to end, and opens the store anew after every five collections.
 */
import { StoreEngine } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';

export interface CollectingReport {
  readonly runs: number;
  readonly layersRemoved: number;
  readonly blobsRemoved: number;
  readonly rangesPunched: number;
}

const [directory] = process.argv.slice(2);
let isOver = false;

async function collect(): Promise<CollectingReport> {
  const report = { runs: 0, layersRemoved: 0, blobsRemoved: 0, rangesPunched: 0 };
  let engine = await StoreEngine.open(directory!, { chainLayersMax: 2 });
  while (!isOver) {
    const { layersRemoved, blobsRemoved, rangesPunched } = collectGarbage(engine);
    report.runs++;
    report.layersRemoved += layersRemoved;
    report.blobsRemoved += blobsRemoved;
    report.rangesPunched += rangesPunched;
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (report.runs % 5 !== 0) continue;
    await engine.close();
    engine = await StoreEngine.open(directory!, { chainLayersMax: 2 });
  }
  await engine.close();
  return report;
}

process.on('message', async ({ isLast }: { isLast: boolean }) => {
  if (isLast) isOver = true;
  else process.send!(await collect());
});
process.send!('ready');
