/** Progress of long work, on stderr when it is a terminal; nothing otherwise. */
import cliProgress from 'cli-progress';
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
  // Nobody looks.
}

const SILENT: Progress<unknown> = { update: nothing, stop: nothing };
const PATH_CHARACTERS = 50;

/** `verb` is what is being done: 'importing'. The total is not known, so counts are shown and no bar. */
export function startProgress(verb: string, isJson: boolean): Progress {
  if (isJson || process.stderr.isTTY !== true) return SILENT;
  const bar = new cliProgress.SingleBar({
    format: `${verb} {files} files, {size}  {path}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    emptyOnZero: true,
  });
  bar.start(1, 0, { files: '0', size: '0 B', path: '' });
  return {
    update: ({ files, bytes, path }) => {
      const shown = printable(path);
      const short = shown.length > PATH_CHARACTERS ? `…${shown.slice(-PATH_CHARACTERS)}` : shown;
      bar.update(0, { files: formatCount(files), size: formatBytes(bytes), path: short });
    },
    stop: () => bar.stop(),
  };
}

/** Blocks of a store that are looked at, some of them several times. */
export interface BlockState {
  readonly blocksLookedAt: number;
  readonly blocksTotal: number;
  readonly bytesShared: number;
}

export function startBlockProgress(verb: string, isJson: boolean): Progress<BlockState> {
  if (isJson || process.stderr.isTTY !== true) return SILENT;
  const bar = new cliProgress.SingleBar({
    format: `${verb} {looked} of {total} blocks, {shared} found equal`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    emptyOnZero: true,
  });
  bar.start(1, 0, { looked: '0', total: '?', shared: '0 B' });
  return {
    update: ({ blocksLookedAt, blocksTotal, bytesShared }) => {
      const [looked, total] = [formatCount(blocksLookedAt), formatCount(blocksTotal)];
      bar.update(0, { looked, total, shared: formatBytes(bytesShared) });
    },
    stop: () => bar.stop(),
  };
}
