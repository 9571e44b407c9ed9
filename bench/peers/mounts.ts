/** Filesystems of the kernel that Ramet is compared with: XFS and btrfs in image files, and overlays. */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Absent } from '../../src/demo/index.ts';
import {
  firstLine,
  runProgram,
  type WorkDirectory,
  whyNotProgram,
  whyNotRoot,
} from '../measure/work-directory.ts';

export type ImageKind = 'xfs' | 'btrfs';

/** A mounted filesystem. */
export interface PeerMount {
  readonly point: string;
  /** Unmounts it, and removes what it needed. */
  readonly unmount: () => void;
}

let images = 0;

/**
 * Makes and mounts a filesystem in an image file, or says why it cannot. Direct I/O keeps the image itself out of the
 * page cache, so that its files are cached once, as on a disk.
 */
export function mountImage(kind: ImageKind, work: WorkDirectory, sizeBytes: number): PeerMount | Absent {
  const reason = whyNotRoot() ?? whyNotProgram(`mkfs.${kind}`) ?? whyNotProgram('losetup');
  if (reason !== undefined) return { absentBecause: reason };
  const name = `${kind}-${images++}`;
  const image = work.join(`${name}.image`);
  const point = work.join(name);
  const undos: (() => void)[] = [() => rmSync(image, { force: true })];
  const unmount = (): void => {
    for (const undo of undos.splice(0).reverse()) undo();
  };
  try {
    writeFileSync(image, '');
    truncateSync(image, sizeBytes);
    mkdirSync(point);
    runProgram(`mkfs.${kind}`, '-q', image);
    const device = runProgram('losetup', '--direct-io=on', '--find', '--show', image).trim();
    undos.push(work.onRemove(() => runProgram('losetup', '--detach', device)));
    runProgram('mount', '-t', kind, device, point);
    undos.push(work.onRemove(() => runProgram('umount', point)));
    return { point, unmount };
  } catch (error) {
    unmount();
    return { absentBecause: `${kind} cannot be mounted here: ${firstLine(error)}` };
  }
}

/** Mounts an overlay over `lower`, with its upper directory in `directory`. Throws where that cannot be done. */
export function mountOverlay(lower: string, directory: string, work: WorkDirectory): PeerMount {
  const [upper, scratch, point] = ['upper', 'scratch', 'point'].map((part) => path.join(directory, part));
  for (const part of [upper!, scratch!, point!]) mkdirSync(part, { recursive: true });
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${scratch}`;
  runProgram('mount', '-t', 'overlay', 'overlay', '-o', options, point!);
  return { point: point!, unmount: work.onRemove(() => runProgram('umount', point!)) };
}
