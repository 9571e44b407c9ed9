/**
 * Makes, lists, opens and unlinks the store's blob files. At most `descriptorsMax` files are open at a time, unless
 * more are pinned. To open another one, the least recently used file that is not pinned is closed.
 */
import { assert, type BlobId, FsError, isFsError } from '../base/index.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, type System } from '../sys/index.ts';
import { BlobFile } from './blob-file.ts';
import { blobFolder, blobPath, isThere, parseBlobName, sumPath } from './blob-path.ts';
import { DamagedBlobError } from './damage.ts';

export interface BlobSpaceLimits {
  /** True if this process changes nothing while others may change anything; then every read is checked. */
  readonly isReadOnly?: boolean;
  /** Open descriptors; default: 1,024. */
  readonly descriptorsMax?: number;
  /** Windows of 16 MiB of address space each; default: 1,024. */
  readonly windowsMax?: number;
}

/** Makes a call, and ignores ENOENT. */
function ignoreMissing(call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!isFsError(error, 'ENOENT')) throw error;
  }
}

export class BlobFiles {
  readonly system: System;
  readonly directory: string;
  readonly isReadOnly: boolean;
  private readonly descriptorsMax: number;
  private readonly files = new Map<BlobId, BlobFile>();
  private readonly opened = new Set<BlobFile>();
  /** Folders whose names this process has synced. A folder that another process has made may not be synced yet. */
  private readonly syncedFolders = new Set<string>();
  private tick = 0;

  constructor(
    system: System,
    directory: string,
    { descriptorsMax = 1024, isReadOnly = false }: BlobSpaceLimits,
  ) {
    assert(descriptorsMax > 0, 'at least one descriptor is allowed');
    this.system = system;
    this.directory = directory;
    this.isReadOnly = isReadOnly;
    this.descriptorsMax = descriptorsMax;
  }

  get openCount(): number {
    return this.opened.size;
  }

  /** The state of blob `id` in this process. Does no I/O. */
  of(id: BlobId): BlobFile {
    let file = this.files.get(id);
    if (file === undefined) {
      assert(Number.isSafeInteger(id) && id > 0, `blob id ${id} is a whole number from 1`);
      file = new BlobFile(id, blobPath(this.directory, id));
      this.files.set(id, file);
    }
    return file;
  }

  /** All blobs that this process has state of. */
  get known(): readonly BlobFile[] {
    return [...this.files.values()];
  }

  /**
   * A descriptor for reading. It is valid until the next call for another blob; if the file is pinned, until it is
   * unpinned.
   */
  descriptor(file: BlobFile): number {
    file.lastUse = ++this.tick;
    if (file.fd === -1) this.openAs(file, O_RDONLY);
    return file.fd;
  }

  /** Like `descriptor`, but for reading and writing. */
  writableDescriptor(file: BlobFile): number {
    this.requireWritable();
    file.lastUse = ++this.tick;
    if (file.isWritable) return file.fd;
    const readOnly = file.fd;
    file.fd = -1;
    try {
      this.openAs(file, O_RDWR);
    } catch (error) {
      file.fd = readOnly;
      if (readOnly !== -1) this.opened.add(file);
      throw error;
    }
    if (readOnly !== -1) {
      if (file.pins > 0) file.retired.push(readOnly);
      else this.system.close(readOnly);
    }
    return file.fd;
  }

  /**
   * Punches a hole. A file that is open only for reading stays open only for reading. False if the host cannot punch
   * holes.
   */
  punch(file: BlobFile, position: number, lengthBytes: number): boolean {
    this.requireWritable();
    if (file.isWritable) return this.system.punch(file.fd, position, lengthBytes);
    const fd = this.system.open(file.path, O_RDWR);
    try {
      return this.system.punch(fd, position, lengthBytes);
    } finally {
      this.system.close(fd);
    }
  }

  pin(file: BlobFile): number {
    const fd = this.descriptor(file);
    file.pins++;
    return fd;
  }

  unpin(file: BlobFile): void {
    assert(file.pins > 0, `blob ${file.id} is pinned`);
    file.pins--;
    if (file.pins > 0) return;
    for (const fd of file.retired.splice(0)) this.system.close(fd);
  }

  /** Reads the file's length again. */
  refreshSize(file: BlobFile): void {
    file.setSize(this.system.fileSize(this.descriptor(file)).sizeBytes);
  }

  /** Makes the file of a new blob, open for writing. EEXIST if there is one already. */
  create(id: BlobId): BlobFile {
    this.requireWritable();
    const file = this.of(id);
    assert(file.fd === -1, `blob ${id} is new`);
    const flags = O_RDWR | O_CREAT | O_EXCL;
    try {
      this.openAs(file, flags);
    } catch (error) {
      // ENOENT: this is the first blob of its folder. To check for the folder at every call would double the cost.
      if (!isFsError(error, 'ENOENT')) throw error;
      this.makeFolder(blobFolder(this.directory, id));
      this.openAs(file, flags);
    }
    file.isNameDurable = false;
    file.sumState = 'none';
    return file;
  }

  /** Makes the file's name durable, by a sync of its folder. */
  syncName(file: BlobFile): void {
    if (file.isNameDurable) return;
    const folder = blobFolder(this.directory, file.id);
    this.system.syncDirectory(folder);
    if (!this.syncedFolders.has(folder)) {
      this.system.syncDirectory(this.directory);
      this.syncedFolders.add(folder);
    }
    file.isNameDurable = true;
  }

  exists(id: BlobId): boolean {
    return isThere(this.system, blobPath(this.directory, id));
  }

  /** Ids of all blob files present, in no order. */
  list(): BlobId[] {
    const ids: BlobId[] = [];
    for (const folder of this.namesIn(this.directory)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for (const name of this.namesIn(`${this.directory}/${folder}`)) {
        const id = parseBlobName(folder, name);
        if (id !== undefined) ids.push(id);
      }
    }
    return ids;
  }

  /**
   * Removes the names of a blob and its checksums, if they exist. The checksums go first: if the process dies between
   * the two, the blob can still be found and removed again.
   */
  unlinkNames(id: BlobId): void {
    this.requireWritable();
    const file = this.of(id);
    assert(file.pins === 0, `blob ${id} is not in use`);
    const sums = sumPath(this.directory, id);
    ignoreMissing(() => this.system.unlink(`${sums}.tmp`));
    ignoreMissing(() => this.system.unlink(sums));
    ignoreMissing(() => this.system.unlink(file.path));
  }

  /** Closes the file of a blob whose names are gone, so that the kernel frees its space. */
  release(id: BlobId): void {
    this.closeFile(this.of(id));
    this.files.delete(id);
  }

  /** Closes every descriptor. */
  close(): void {
    for (const file of [...this.opened]) {
      for (const fd of file.retired.splice(0)) this.system.close(fd);
      this.closeFile(file);
    }
    this.files.clear();
  }

  private namesIn(path: string): string[] {
    try {
      return this.system.readHostDirectory(Buffer.from(path)).map((entry) => entry.name);
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return [];
      throw error;
    }
  }

  private requireWritable(): void {
    if (this.isReadOnly) throw new FsError('EROFS', { syscall: 'open', path: this.directory });
  }

  private makeFolder(folder: string): void {
    try {
      this.system.makeDirectory(folder);
    } catch (error) {
      // Another process has just made it.
      if (!isFsError(error, 'EEXIST')) throw error;
    }
  }

  private openAs(file: BlobFile, flags: number): void {
    if (this.opened.size >= this.descriptorsMax && !this.opened.has(file)) this.closeOldest();
    for (;;) {
      try {
        file.fd = this.system.open(file.path, flags | O_NOFOLLOW, 0o600);
        break;
      } catch (error) {
        if (isFsError(error, 'ENOENT') && (flags & O_CREAT) === 0) {
          throw new DamagedBlobError(file.id, undefined, 'its file is missing');
        }
        // Other code in this process uses up the descriptors: close a blob file and try again.
        if (!(isFsError(error, 'EMFILE') || isFsError(error, 'ENFILE')) || !this.closeOldest()) throw error;
      }
    }
    file.isWritable = (flags & O_RDWR) !== 0;
    this.opened.add(file);
    try {
      file.setSize(this.system.fileSize(file.fd).sizeBytes);
    } catch (error) {
      // Close the file again, so that the next call starts over.
      this.closeFile(file);
      if ((flags & O_CREAT) !== 0) ignoreMissing(() => this.system.unlink(file.path));
      throw error;
    }
  }

  private closeOldest(): boolean {
    let oldest: BlobFile | undefined;
    for (const file of this.opened) {
      if (file.pins > 0 || file.fd === -1) continue;
      if (oldest === undefined || file.lastUse < oldest.lastUse) oldest = file;
    }
    if (oldest === undefined) return false;
    this.closeFile(oldest);
    return true;
  }

  /**
   * Closes a blob's file and drops its checksums, which take 0.2 % of the size of their data. The next read that needs
   * checksums loads them again.
   */
  private closeFile(file: BlobFile): void {
    if (file.fd === -1) return;
    const { fd } = file;
    file.fd = -1;
    file.isWritable = false;
    file.sums = undefined;
    file.sumState = 'unknown';
    this.opened.delete(file);
    this.system.close(fd);
  }
}
