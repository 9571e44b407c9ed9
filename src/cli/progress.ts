/** Progress of long work, on stderr when it is a terminal; nothing otherwise. */
import { formatBytes, formatCount, printable } from './output.ts';

export interface WorkState {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  readonly path: string;
}

export interface Progress<State = WorkState> {
  readonly update: (state: State) => void;
  stop(): void;
}

function nothing(): void {
  // There is no terminal to show it on.
}

const SILENT: Progress<unknown> = { update: nothing, stop: nothing };
const PATH_CHARACTERS = 50;

/** The fields of a format, in words. */
type Shown = Readonly<Record<string, string>>;

/** The total is not known, so counts are shown and no bar. */
async function startBar<State>(
  isJson: boolean,
  format: string,
  first: Shown,
  show: (state: State) => Shown,
): Promise<Progress<State>> {
  if (isJson || process.stderr.isTTY !== true) return SILENT;
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    emptyOnZero: true,
  });
  bar.start(1, 0, first);
  return { update: (state) => bar.update(0, show(state)), stop: () => bar.stop() };
}

/** `verb` is what is being done: 'importing'. */
export function startProgress(verb: string, isJson: boolean): Promise<Progress> {
  const first = { files: '0', size: '0 B', path: '' };
  return startBar(isJson, `${verb} {files} files, {size}  {path}`, first, ({ files, bytes, path }) => {
    const shown = printable(path);
    const short = shown.length > PATH_CHARACTERS ? `…${shown.slice(-PATH_CHARACTERS)}` : shown;
    return { files: formatCount(files), size: formatBytes(bytes), path: short };
  });
}

/** Blocks of a store that are looked at, some of them several times. */
export interface BlockState {
  readonly blocksLookedAt: number;
  readonly blocksTotal: number;
  readonly bytesShared: number;
}

export function startBlockProgress(verb: string, isJson: boolean): Promise<Progress<BlockState>> {
  const first = { looked: '0', total: '?', shared: '0 B' };
  return startBar(isJson, `${verb} {looked} of {total} blocks, {shared} found equal`, first, (state) => ({
    looked: formatCount(state.blocksLookedAt),
    total: formatCount(state.blocksTotal),
    shared: formatBytes(state.bytesShared),
  }));
}
