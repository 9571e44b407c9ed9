/** Writes a file of a tree to the host: its content with holes, then owner, attributes, mode and times. */
import { isFileMode, isFsError, isSymlinkMode, nameToString, S_IFMT, wordOfMode } from '../base/index.ts';
import {
  copyContent,
  dress,
  type HostFiles,
  namedWearer,
  type Tolerance,
  targetOf,
  type Wearer,
} from '../files/index.ts';
import { O_CREAT, O_EXCL, O_WRONLY } from '../sys/index.ts';
import type { ExportTally } from './export-report.ts';
import type { Pacing } from './pacing.ts';
import type { TreeItem, TreeReader } from './tree-walk.ts';

/** Error codes of calls that the host does not allow us, or does not support. */
const REFUSALS: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

export class HostWriter {
  private readonly files: HostFiles;
  private readonly reader: TreeReader;
  private readonly tally: ExportTally;
  private readonly pacing: Pacing;

  constructor(files: HostFiles, reader: TreeReader, tally: ExportTally, pacing: Pacing) {
    this.files = files;
    this.reader = reader;
    this.tally = tally;
    this.pacing = pacing;
  }

  /** Makes anything but a directory, at a free path. False when the host does not let us make such a node. */
  async make(item: TreeItem, path: string): Promise<boolean> {
    if (!isFileMode(item.attributes.mode)) return this.node(item, path);
    await this.file(item, path);
    return true;
  }

  /** Makes a symlink, fifo, socket or device; returns the same as `make`. */
  private node(item: TreeItem, path: string): boolean {
    const { files } = this;
    const { mode, rdev } = item.attributes;
    if (isSymlinkMode(mode)) {
      files.naming('symlink', path, () => files.symlink(item.target, path));
      this.tally.symlinks++;
    } else {
      try {
        files.naming('mknod', path, () => files.makeNode(path, (mode & S_IFMT) | 0o600, rdev));
      } catch (error) {
        if (!isFsError(error) || !REFUSALS.has(error.code)) throw error;
        this.tally.note(
          'special',
          this.reader.shown(item.path),
          `left out: the host does not let us make a ${wordOfMode(mode)} (${error.code})`,
        );
        return false;
      }
      this.tally.specials++;
    }
    this.dress(item, path);
    return true;
  }

  private async file(item: TreeItem, path: string): Promise<void> {
    const { files, reader, pacing } = this;
    const { size } = item.attributes;
    const file = files.naming('open', path, () => files.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600));
    try {
      const target = targetOf(files, file, (syscall, call) => files.naming(syscall, path, call));
      if (size > 0)
        await reader.reading(item, (source) =>
          copyContent(source, target, size, reader.shown(item.path), () =>
            pacing.isDue ? pacing.turn() : undefined,
          ),
        );
      this.tally.files++;
      this.tally.apparentBytes += size;
      this.dressAs(item, path, files.dressingFile(file));
    } finally {
      files.close(file);
    }
  }

  /** Gives the file or directory that was made at a path its owner, attributes, mode and times. */
  dress(item: TreeItem, path: string): void {
    const { files } = this;
    files.naming('open', path, () =>
      files.dressing(path, item.attributes.mode, (wearer) => this.dressAs(item, path, wearer)),
    );
  }

  private dressAs(item: TreeItem, path: string, wearer: Wearer): void {
    const named = namedWearer(wearer, (syscall, call) => this.files.naming(syscall, path, call));
    dress(named, item.attributes, item.xattrs, this.tolerance(item));
  }

  private tolerance(item: TreeItem): Tolerance {
    const { uid, gid } = item.attributes;
    return {
      // A file whose owner cannot be set stays with the exporting user.
      owner: (error) => {
        if (!isFsError(error, 'EPERM') && !isFsError(error, 'EINVAL')) throw error;
        const isOurs = uid === process.getuid?.() && gid === process.getgid?.();
        if (!isOurs) {
          this.tally.noteOnce(
            'owner',
            this.reader.shown(item.path),
            `owners are not kept: only root may give files away (first seen for ${uid}:${gid})`,
          );
        }
        return isOurs;
      },
      xattr: (error, name) => {
        // EINVAL: a value that this kernel does not take, such as an old revision of file capabilities.
        if (!isFsError(error) || !(REFUSALS.has(error.code) || error.code === 'EINVAL')) throw error;
        this.tally.noteOnce(
          'xattr',
          this.reader.shown(item.path),
          `the host did not take the extended attribute ${nameToString(name)} (${error.code})`,
        );
      },
    };
  }
}
