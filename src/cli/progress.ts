/** Shows the progress of long work, if stderr is a terminal. */
import type { TransferProgress } from '../transfer/index.ts';
import type { DedupeProgress } from '../upkeep/index.ts';
import { formatBytes, formatCount, printable } from './output.ts';

const PATH_CHARACTERS = 50;

/** The text for each {field} of a format. */
type Shown = Readonly<Record<string, string>>;

/** Work that calls `update` with its progress. */
type Work<State, T> = (update: (state: State) => void) => Promise<T>;

/** Shows counts and no bar, because the total is not known at the start. */
async function withBar<State, T>(
  isJson: boolean,
  format: string,
  first: Shown,
  show: (state: State) => Shown,
  work: Work<State, T>,
): Promise<T> {
  if (isJson || process.stderr.isTTY !== true) return await work(() => undefined);
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    emptyOnZero: true,
  });
  bar.start(1, 0, first);
  try {
    return await work((state) => bar.update(0, show(state)));
  } finally {
    bar.stop();
  }
}

/** Shows the progress of a transfer. `verb` names the work, for example 'importing'. */
export function withProgress<T>(verb: string, isJson: boolean, work: Work<TransferProgress, T>): Promise<T> {
  const format = `${verb} {files} files, {size}  {path}`;
  const show = ({ files, bytes, path }: TransferProgress): Shown => {
    const shown = printable(path);
    const short = shown.length > PATH_CHARACTERS ? `…${shown.slice(-PATH_CHARACTERS)}` : shown;
    return { files: formatCount(files), size: formatBytes(bytes), path: short };
  };
  return withBar(isJson, format, { files: '0', size: '0 B', path: '' }, show, work);
}

/** Shows the progress of work on all blocks of a store. */
export function withBlockProgress<T>(isJson: boolean, work: Work<DedupeProgress, T>): Promise<T> {
  const format = 'comparing {looked} of {total} blocks, {shared} found equal';
  const show = (state: DedupeProgress): Shown => ({
    looked: formatCount(state.blocksLookedAt),
    total: formatCount(state.blocksTotal),
    shared: formatBytes(state.bytesShared),
  });
  return withBar(isJson, format, { looked: '0', total: '?', shared: '0 B' }, show, work);
}
