/** Collects garbage over and over, each time as a process that has just opened the store, or as one that has it. */
import { StoreEngine } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { answerAll } from './child.ts';

export interface CollectingReport {
  readonly runs: number;
  readonly layersRemoved: number;
  readonly blobsRemoved: number;
  readonly rangesPunched: number;
}

const [directory, secondsText] = process.argv.slice(2);

async function collect(): Promise<CollectingReport> {
  const end = Date.now() + Number(secondsText) * 1000;
  const report = { runs: 0, layersRemoved: 0, blobsRemoved: 0, rangesPunched: 0 };
  let engine = await StoreEngine.open(directory!, { chainLayersMax: 2 });
  while (Date.now() < end) {
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

answerAll(collect);
process.send!('ready');
