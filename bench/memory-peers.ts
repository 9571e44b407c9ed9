/** The peers of the memory benchmark: plain copies, overlay mounts, and reflinked copies on other filesystems. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { diskBytes } from '../src/interface/demo/index.ts';
import {
  absentFigures,
  changedPosition,
  firstWrite,
  hostCalls,
  type LargeFile,
  type LargeFileFigures,
  MIB,
  measureReading,
  readThrough,
} from './large-file.ts';
import { summarize, summarizeSingle } from './sampling.ts';
import { runProgram, type WorkDirectory, whyNotProgram, whyNotRoot } from './work-directory.ts';

/** How a peer makes its forks of the file. */
interface Peer {
  /** Makes fork `index`; returns the path of the file in it. */
  fork(index: number): string;
  /** Bytes of disk in use by the forks and what they stand on. */
  usedBytes(): number;
  /** The host files that hold what `file`, the path in a fork, shows. */
  filesBehind(file: string): readonly string[];
}

/** Runs the experiment on one peer. */
async function measurePeer(large: LargeFile, peer: Peer): Promise<LargeFileFigures> {
  const usedBefore = peer.usedBytes();
  const files: string[] = [];
  const writes: number[] = [];
  for (let index = 0; index < large.forks; index++) {
    const file = peer.fork(index);
    writes.push(firstWrite(hostCalls, file, changedPosition(large, index)));
    syncFile(file);
    files.push(file);
  }
  const grown = peer.usedBytes() - usedBefore;
  const behind = new Set(files.flatMap((file) => peer.filesBehind(file)));
  const reading = await measureReading([...behind], () => {
    for (const file of files) readThrough(hostCalls, file, large.sizeBytes);
  });
  return { ...reading, diskMib: summarize([grown / MIB]), firstWriteMs: summarizeSingle(writes) };
}

function syncFile(file: string): void {
  const fd = openSync(file, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

/** One `cp` a fork, on the filesystem of the work directory. */
export async function copies(large: LargeFile, work: WorkDirectory): Promise<LargeFileFigures> {
  const directory = work.join('copies');
  mkdirSync(directory);
  try {
    return await measurePeer(large, {
      fork(index) {
        const file = path.join(directory, `copy-${index}`);
        runProgram('cp', '--reflink=never', large.hostPath, file);
        return file;
      },
      usedBytes: () => diskBytes(directory),
      filesBehind: (file) => [file],
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** One overlay mount a fork, all over one lower directory. */
export async function overlays(large: LargeFile, work: WorkDirectory): Promise<LargeFileFigures> {
  const reason = whyNotRoot();
  if (reason !== undefined) return absentFigures(reason);
  const directory = work.join('overlays');
  mkdirSync(directory);
  const unmounts: (() => void)[] = [];
  const name = path.basename(large.hostPath);
  try {
    return await measurePeer(large, {
      fork(index) {
        const [upper, scratch, point] = ['upper', 'scratch', 'point'].map((part) =>
          path.join(directory, `${index}`, part),
        );
        for (const part of [upper!, scratch!, point!]) mkdirSync(part, { recursive: true });
        const options = `lowerdir=${path.dirname(large.hostPath)},upperdir=${upper},workdir=${scratch}`;
        runProgram('mount', '-t', 'overlay', 'overlay', '-o', options, point!);
        unmounts.push(work.onRemove(() => runProgram('umount', point!)));
        return path.join(point!, name);
      },
      usedBytes: () => uppersBytes(directory),
      filesBehind: (file) => [large.hostPath, path.join(file, '..', '..', 'upper', name)],
    });
  } catch (error) {
    return absentFigures(`an overlay cannot be mounted here: ${firstLine(error)}`);
  } finally {
    for (const unmount of unmounts) unmount();
    rmSync(directory, { recursive: true });
  }
}

/** What was copied up; the mounts themselves would count the lower file again. */
function uppersBytes(directory: string): number {
  const output = runProgram(
    'du',
    '--one-file-system',
    '--block-size=1',
    '--summarize',
    '--exclude=point',
    directory,
  );
  return Number.parseInt(output, 10);
}

/** One `cp --reflink` a fork, on a filesystem of this kind in an image file. */
export async function reflinks(
  kind: 'xfs' | 'btrfs',
  large: LargeFile,
  work: WorkDirectory,
): Promise<LargeFileFigures> {
  const reason = whyNotRoot() ?? whyNotProgram(`mkfs.${kind}`) ?? whyNotProgram('losetup');
  if (reason !== undefined) return absentFigures(reason);
  const image = work.join(`${kind}.image`);
  const point = work.join(kind);
  const undos: (() => void)[] = [];
  try {
    undos.push(...mountImage(kind, image, point, large.sizeBytes, work));
    const base = path.join(point, 'base');
    runProgram('cp', large.hostPath, base);
    syncFile(base);
    return await measurePeer(large, {
      fork(index) {
        const file = path.join(point, `fork-${index}`);
        runProgram('cp', '--reflink=always', base, file);
        return file;
      },
      usedBytes() {
        runProgram('sync', '-f', point);
        const { blocks, bfree, bsize } = statfsSync(point);
        return (blocks - bfree) * bsize;
      },
      filesBehind: (file) => [base, file],
    });
  } catch (error) {
    return absentFigures(`${kind} cannot be used here: ${firstLine(error)}`);
  } finally {
    for (const undo of undos.reverse()) undo();
    rmSync(image, { force: true });
  }
}

/** Makes and mounts an image; returns what is to be undone. Direct I/O keeps the image out of the page cache. */
function mountImage(
  kind: string,
  image: string,
  point: string,
  fileBytes: number,
  work: WorkDirectory,
): (() => void)[] {
  writeFileSync(image, '');
  truncateSync(image, fileBytes * 2 + 1024 * MIB);
  mkdirSync(point);
  runProgram(`mkfs.${kind}`, '-q', image);
  const device = runProgram('losetup', '--direct-io=on', '--find', '--show', image).trim();
  const detach = work.onRemove(() => runProgram('losetup', '--detach', device));
  try {
    runProgram('mount', '-t', kind, device, point);
  } catch (error) {
    detach();
    throw error;
  }
  return [detach, work.onRemove(() => runProgram('umount', point))];
}

function firstLine(error: unknown): string {
  const text =
    error instanceof Error && 'stderr' in error && error.stderr !== '' ? String(error.stderr) : String(error);
  return text.trim().split('\n')[0] ?? '';
}
