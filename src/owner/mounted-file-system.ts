/**
 * The files of a tree that the owner process has mounted, for use in another process. `MountedFileSystem` has the
 * interface of a tree that is open in the process itself (`TreeFiles`), but makes all calls through the mount point.
 *
 * The kernel walks every path with the mount point as its root (openat2), so that no symlink and no '..' in the tree
 * leads to the host, whatever programs in it rename meanwhile.
 */
import { copyFileSync, statfsSync, writeSync } from 'node:fs';
import { FsError, nameToBytes } from '../base/index.ts';
import { attempt, DescriptorFiles, type NamedCall, onFile } from '../files/index.ts';
import { deviceOfLink, fileLink, O_DIRECTORY, O_PATH, type System } from '../sys/index.ts';
import type { TreeFile, TreeFiles } from '../vfs/index.ts';
import type { MountRecord } from './protocol.ts';

/** statfs(2). */
const FUSE_SUPER_MAGIC = 0x65735546;

type MountedPlace = Pick<MountRecord, 'directory' | 'device'>;

export class MountedFileSystem extends DescriptorFiles {
  private openRoot: number | undefined;
  private readonly device: string | undefined;

  /**
   * ENOTCONN when the tree is not mounted at `directory` (as the device `major:minor`, if that is known), and the
   * errors of open(2). The mount is busy until `end`.
   */
  constructor(system: System, { directory, device }: MountedPlace, isReadOnly: boolean) {
    super(system, directory, isReadOnly);
    this.device = device;
    this.begin();
  }

  /** Opens the root of the mount; after `end`, opens it again. Errors: those of the constructor. */
  begin(): void {
    const root = this.system.open(this.directory, O_PATH | O_DIRECTORY);
    try {
      const { type } = attempt(() => statfsSync(fileLink(root)));
      const isOther = this.device !== undefined && deviceOfLink(fileLink(root)) !== this.device;
      if (type !== FUSE_SUPER_MAGIC || isOther)
        throw new FsError('ENOTCONN', { note: 'it was unmounted meanwhile' });
      this.openRoot = root;
    } catch (error) {
      this.system.close(root);
      throw error instanceof FsError ? error.in({ syscall: 'open', path: this.directory }) : error;
    }
  }

  /** Closes the root of the mount, which kept the mount busy. Open files stay open. */
  end(): void {
    if (this.openRoot !== undefined) this.system.close(this.openRoot);
    this.openRoot = undefined;
  }

  private get root(): number {
    if (this.openRoot === undefined) throw new FsError('EBADF');
    return this.openRoot;
  }

  openPath(path: string, flags: number, mode = 0): number {
    return attempt(() => this.system.openInRoot(this.root, nameToBytes(path), flags, mode));
  }

  protected named<T>(path: string, use: NamedCall<T>): T {
    const trimmed = path.replace(/\/+$/, '');
    const slash = trimmed.lastIndexOf('/');
    const last = trimmed.slice(slash + 1);
    // '..' at the descriptor of the root would lead out of the tree.
    const isName = last !== '' && last !== '.' && last !== '..';
    const above = isName ? trimmed.slice(0, slash + 1) || '/' : path;
    const directory = this.openPath(above, O_PATH | O_DIRECTORY);
    try {
      return attempt(() => use(directory, nameToBytes(isName ? last : '.')));
    } finally {
      this.system.close(directory);
    }
  }

  realPath(path: string): string {
    const linkOf = (fd: number): Buffer => this.system.readHostLink(Buffer.from(fileLink(fd)));
    const root = attempt(() => linkOf(this.root));
    const real = this.at(path, true, linkOf).toString('latin1');
    return real.slice(root.length === 1 ? 0 : root.length) || '/';
  }

  /** Like write(2): writes fewer bytes if not all fit. */
  protected override writeAt(
    fd: number,
    source: Uint8Array,
    offset: number,
    length: number,
    at: number,
  ): number {
    return writeSync(fd, source, offset, length, at);
  }

  /**
   * Copies by copy_file_range(2), which the owner answers by sharing blocks. EXDEV between mounts: such a copy never
   * reaches the owner.
   */
  reflink(source: TreeFile, target: TreeFile, from: TreeFiles = this): void {
    if (from !== this) throw new FsError('EXDEV');
    const { mode } = this.statFile(target);
    onFile(source, (old) => onFile(target, (fd) => copyFileSync(fileLink(old), fileLink(fd))));
    // copyFileSync has given the target the mode of the source.
    this.chmodFile(target, mode & 0o7777);
  }
}
