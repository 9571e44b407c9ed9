/**
 * Carries out the plan of a commit. Each file is written beside its place, made durable together with its batch, and
 * renamed to its place, which at every moment has the whole old file or the whole new one. Paths that changed since the
 * plan was made are left alone. Order: directories, files, removals (deepest first), files that replace a directory,
 * and the directories' own attributes. After a failure another commit finds what is done and does the rest.
 */
import { FsError, isFsError, isSameTimespec } from '../base/index.ts';
import type { StoredTree } from '../store/index.ts';
import { TreePaths } from '../survey/index.ts';
import type { HostStat } from '../sys/index.ts';
import { ExportTally, HostWriter, Pacing, TreeReader } from '../transfer/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { type CommitConflict, type CommitPlan, type CommitStep, isDirectory } from './commit-plan.ts';
import { type HostTarget, TEMPORARY_PREFIX } from './host-target.ts';

const BATCH_FILES = 128;
const BATCH_BYTES = 64 * 1024 * 1024;

interface Written extends CommitStep {
  readonly temporary: string;
}

export class CommitApplication {
  hasBegun = false;
  written = 0;
  removed = 0;
  /** Paths that changed in the target during the commit, and were left alone. */
  readonly lateConflicts: CommitConflict[] = [];
  readonly tally = new ExportTally();
  private readonly target: HostTarget;
  private readonly reader: TreeReader;
  private readonly writer: HostWriter;
  /** Names that the target has already: one for each hard-linked file, by the file's inode number in the tree. */
  private readonly names = new Map<number, string>();
  private batch: Written[] = [];
  private batchBytes = 0;
  private temporaries = 0;

  constructor(target: HostTarget, name: string, files: TreeFiles) {
    this.target = target;
    this.reader = new TreeReader(name, files);
    this.writer = new HostWriter(target.files, this.reader, this.tally, new Pacing(() => undefined));
  }

  async all({ steps }: CommitPlan, tree: StoredTree): Promise<void> {
    this.hasBegun = true;
    this.findNames(steps, tree);
    const directories = steps.filter(({ mode }) => isDirectory(mode));
    const files = steps.filter(({ mode }) => mode !== undefined && !isDirectory(mode));
    try {
      for (const step of directories) this.makeDirectory(step);
      for (const step of files) if (!isDirectory(step.found?.mode)) await this.write(step);
      this.place();
      for (const step of steps.toReversed()) if (step.mode === undefined) this.remove(step);
      for (const step of files) {
        if (isDirectory(step.found?.mode) && this.remove(step))
          await this.write({ ...step, found: undefined });
      }
      this.place();
      for (const { path } of directories.toReversed()) this.dress(path);
    } catch (error) {
      this.clear();
      throw error;
    }
    this.target.sync();
  }

  /** Finds names of hard-linked files that the target has already, and that this commit does not write. */
  private findNames(steps: readonly CommitStep[], tree: StoredTree): void {
    const written = new Set(steps.map(({ path }) => path));
    for (const [ino, paths] of new TreePaths(tree).linkedAt(written)) {
      const kept = paths.find((path) => !written.has(path));
      if (kept !== undefined && this.target.stat(kept) !== undefined) this.names.set(ino, kept);
    }
  }

  private makeDirectory({ path, found }: CommitStep): void {
    if (isDirectory(found?.mode)) return;
    if (found !== undefined && !this.remove({ path, mode: undefined, found })) return;
    this.target.at('mkdir', path, (files) => files.makeDirectory(path, 0o700));
    this.written++;
  }

  /** Writes a file beside its place, or links a name there if the target has the file already. */
  private async write(step: CommitStep): Promise<void> {
    const { path } = step;
    const item = this.reader.item(path);
    const { ino, nlink, size } = item.attributes;
    const known = nlink > 1 ? (this.names.get(ino) ?? item.firstPath) : undefined;
    if (known !== undefined) this.place();
    const name = `${TEMPORARY_PREFIX}${process.pid}-${this.temporaries++}`;
    const temporary = path.slice(0, path.lastIndexOf('/') + 1) + name;
    const written = { ...step, temporary };
    this.batch.push(written);
    if (known !== undefined)
      this.target.at('link', temporary, (files) => files.link(known, temporary, false));
    else if (!(await this.target.atAsync(temporary, () => this.writer.make(item, temporary))))
      this.batch.pop();
    this.batchBytes += size;
    if (this.batch.length >= BATCH_FILES || this.batchBytes >= BATCH_BYTES) this.place();
  }

  /**
   * Makes the batch durable and renames each of its files to its place, or discards the file if its place has changed.
   */
  private place(): void {
    const { batch } = this;
    if (batch.length === 0) return;
    this.target.sync();
    for (const written of batch) {
      if (this.hasChanged(written)) this.discard(written);
      else this.rename(written);
    }
    this.batch = [];
    this.batchBytes = 0;
  }

  private rename(written: Written): void {
    const { path, temporary } = written;
    this.target.at('rename', path, (files) => files.rename(temporary, path));
    // rename(2) does nothing if both are names of one file: then remove the temporary name.
    this.discard(written);
    this.written++;
  }

  private hasChanged({ path, found }: CommitStep): boolean {
    const now = this.target.stat(path);
    const isSame =
      now === undefined || found === undefined
        ? now === found
        : now.ino === found.ino && now.size === found.size && isSameMoment(now, found);
    if (!isSame)
      this.lateConflicts.push({ path, kind: now === undefined ? 'removed' : 'changed', isReplaced: false });
    return !isSame;
  }

  /** Removes a path. False when it was left alone, because it changed or something was put into it. */
  private remove(step: CommitStep): boolean {
    const { path, found } = step;
    if (found === undefined) return true;
    const wasDirectory = isDirectory(found.mode);
    if (!wasDirectory && this.hasChanged(step)) return false;
    try {
      if (wasDirectory) this.target.at('rmdir', path, (files) => files.removeDirectory(path));
      else this.target.at('unlink', path, (files) => files.unlink(path));
    } catch (error) {
      if (!isFsError(error, 'ENOTEMPTY') && !isFsError(error, 'EEXIST')) throw error;
      this.lateConflicts.push({ path, kind: 'changed', isReplaced: false });
      return false;
    }
    this.removed++;
    return true;
  }

  private dress(path: string): void {
    if (!isDirectory(this.target.stat(path)?.mode)) return;
    this.target.at('open', path, () => this.writer.dress(this.reader.item(path), path));
  }

  /** Removes the temporary files. If even that fails, the next commit removes them. */
  private clear(): void {
    for (const written of this.batch) {
      try {
        this.discard(written);
      } catch (error) {
        if (!(error instanceof FsError)) throw error;
      }
    }
  }

  private discard({ temporary }: Written): void {
    if (this.target.stat(temporary) === undefined) return;
    this.target.at('unlink', temporary, (files) => files.unlink(temporary));
  }
}

/**
 * Whether mtime and ctime are the same: ctime reveals a change whose mtime was set back. Ignores ctime if the number of
 * hard links differs, since a new link changes ctime too.
 */
function isSameMoment(now: HostStat, found: HostStat): boolean {
  const isSameChange = now.nlink !== found.nlink || isSameTimespec(now.ctime, found.ctime);
  return isSameTimespec(now.mtime, found.mtime) && isSameChange;
}
