/** The tree that the demo imports: a copy of a real directory and one large file made from a seed. */
import {
  closeSync,
  constants,
  cpSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { BIG_FILE } from './plan.ts';
import { CHUNK_BYTES, type SeededBytes } from './seeded-bytes.ts';

/** Everything in the tree except the large file, by absolute path in a fork. */
export interface SourceTree {
  /** Path of the tree on the host. */
  readonly directory: string;
  readonly files: readonly string[];
  readonly directories: readonly string[];
  /** The target of each symlink, by path. */
  readonly links: ReadonlyMap<string, string>;
}

/** Copies `original` to `directory`/tree. Symlinks stay symlinks. Node 20 fails at a fifo (ERR_FS_CP_FIFO_PIPE). */
export function copyTree(original: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  cpSync(original, path.join(directory, 'tree'), {
    recursive: true,
    verbatimSymlinks: true,
    mode: constants.COPYFILE_FICLONE,
  });
}

/** Writes the large file and makes it durable, so that its pages can be dropped. Awaits `turn` after each chunk. */
export async function writeBigFile(
  directory: string,
  content: SeededBytes,
  sizeBytes: number,
  turn: () => Promise<void>,
): Promise<void> {
  const fd = openSync(path.join(directory, BIG_FILE), 'wx');
  try {
    for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
      writeSync(fd, content.at(at, Math.min(CHUNK_BYTES, sizeBytes - at)));
      await turn();
    }
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Lists a directory of the host, without the large file. */
export function readSourceTree(directory: string): SourceTree {
  const files: string[] = [];
  const directories: string[] = [];
  const links = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const hostPath = path.join(entry.parentPath, entry.name);
    const shown = `/${path.relative(directory, hostPath)}`;
    if (shown === BIG_FILE) continue;
    if (entry.isDirectory()) directories.push(shown);
    else if (entry.isSymbolicLink()) links.set(shown, readlinkSync(hostPath));
    else files.push(shown);
  }
  return { directory, files: files.sort(), directories: directories.sort(), links };
}
