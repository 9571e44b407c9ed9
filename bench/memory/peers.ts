/** The peers of the memory benchmark: plain copies, overlay mounts, and reflinked copies on other filesystems. */
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { diskBytes, isAbsent } from '../../src/demo/index.ts';
import { summarize, summarizeSingle } from '../measure/sampling.ts';
import { firstLine, runProgram, type WorkDirectory, whyNotRoot } from '../measure/work-directory.ts';
import { type ImageKind, mountImage, mountOverlay } from '../peers/mounts.ts';
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

/** How a peer makes its forks of the file. */
interface Peer {
  /** Makes fork `index`; returns the path of the file in it. */
  fork(index: number): string;
  /** Bytes of disk in use by the forks and the data below them. */
  usedBytes(): number;
  /** The host files that hold the data of `file`, a path in a fork. */
  filesBehind(file: string): readonly string[];
}

/** Runs the experiment on one peer. */
async function measurePeer(large: LargeFile, peer: Peer): Promise<LargeFileFigures> {
  const usedBefore = peer.usedBytes();
  const files: string[] = [];
  const writes: number[] = [];
  for (let index = 0; index < large.forks; index++) {
    const file = peer.fork(index);
    writes.push(firstWrite(hostCalls, file, changedPosition(large, index), large.writeBytes));
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

/** One `cp` for each fork, on the filesystem of the work directory. */
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

/** One overlay mount for each fork, all over one lower directory. */
export function overlays(
  large: LargeFile,
  work: WorkDirectory,
): LargeFileFigures | Promise<LargeFileFigures> {
  const reason = whyNotRoot();
  return reason === undefined
    ? overlaysIn(work.join('overlays'), large, large.hostPath, work)
    : absentFigures(reason);
}

/** Like `overlays`, on XFS, where the kernel copies up by reflink. */
export async function overlaysOnXfs(large: LargeFile, work: WorkDirectory): Promise<LargeFileFigures> {
  return onImage('xfs', large, work, (point) => {
    mkdirSync(path.join(point, 'lower'));
    const lower = path.join(point, 'lower', path.basename(large.hostPath));
    runProgram('cp', large.hostPath, lower);
    syncFile(lower);
    return overlaysIn(path.join(point, 'overlays'), large, lower, work, () => usedBytesOf(point));
  });
}

async function overlaysIn(
  directory: string,
  large: LargeFile,
  lowerFile: string,
  work: WorkDirectory,
  usedBytes: () => number = () => uppersBytes(directory),
): Promise<LargeFileFigures> {
  mkdirSync(directory);
  const unmounts: (() => void)[] = [];
  const name = path.basename(lowerFile);
  try {
    return await measurePeer(large, {
      fork(index) {
        const mount = mountOverlay(path.dirname(lowerFile), path.join(directory, `${index}`), work);
        unmounts.push(mount.unmount);
        return path.join(mount.point, name);
      },
      usedBytes,
      filesBehind: (file) => [lowerFile, path.join(file, '..', '..', 'upper', name)],
    });
  } catch (error) {
    return absentFigures(`an overlay cannot be mounted here: ${firstLine(error)}`);
  } finally {
    for (const unmount of unmounts) unmount();
    rmSync(directory, { recursive: true });
  }
}

/** Bytes of disk that were copied up. The mount points are left out: they would count the lower file again. */
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

/** One `cp --reflink` for each fork, on a filesystem of this kind in an image file. */
export async function reflinks(
  kind: ImageKind,
  large: LargeFile,
  work: WorkDirectory,
): Promise<LargeFileFigures> {
  return onImage(kind, large, work, (point) => {
    const base = path.join(point, 'base');
    runProgram('cp', large.hostPath, base);
    syncFile(base);
    return measurePeer(large, {
      fork(index) {
        const file = path.join(point, `fork-${index}`);
        runProgram('cp', '--reflink=always', base, file);
        return file;
      },
      usedBytes: () => usedBytesOf(point),
      filesBehind: (file) => [base, file],
    });
  });
}

async function onImage(
  kind: ImageKind,
  large: LargeFile,
  work: WorkDirectory,
  measure: (point: string) => Promise<LargeFileFigures>,
): Promise<LargeFileFigures> {
  const image = mountImage(kind, work, large.sizeBytes * 2 + 1024 * MIB);
  if (isAbsent(image)) return absentFigures(image.absentBecause);
  try {
    return await measure(image.point);
  } catch (error) {
    return absentFigures(`${kind} cannot be used here: ${firstLine(error)}`);
  } finally {
    image.unmount();
  }
}

/** Syncs a filesystem, and returns the bytes in use on it. */
export function usedBytesOf(point: string): number {
  runProgram('sync', '-f', point);
  const { blocks, bfree, bsize } = statfsSync(point);
  return (blocks - bfree) * bsize;
}
