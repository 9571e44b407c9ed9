/**
 * Opens of a mount in the mode `shared`. If a file of a fork is exactly one whole blob, the server gives the kernel
 * that blob to read and map (FUSE_PASSTHROUGH, Documentation/filesystems/fuse/fuse-passthrough.rst). Every fork, every
 * snapshot and the host then map the very same pages.
 *
 * A file is passed through only when a program opens it to read or run it. Until it is closed, an open for writing gets
 * ETXTBSY (from the kernel itself while the file runs as a program). All other opens use the kernel's cache, as in the
 * mode `cached`. The kernel allows no cached open of an inode while it is open with a backing file, nor the reverse, so
 * the first open decides.
 *
 * The server opens a blob through a read-only view of the blobs. Otherwise the kernel would open the blob with the
 * flags that the program used, and a write through a shared map would change a sealed blob.
 */
import { closeSync, openSync } from 'node:fs';
import { BLOCK_SIZE, type BlobId, blocksFor, FsError, type Ino, isFsError } from '../base/index.ts';
import { blobPath } from '../blob/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { fileLink, type Kernel, O_ACCMODE, O_RDONLY, O_TRUNC } from '../sys/index.ts';
import { Fopen } from './abi.ts';
import { KEPT_DIRECTORY, KEPT_FILE, type OpenAnswer, type OpenPolicy } from './open-policy.ts';

/** How many current opens of one inode use the kernel's cache, and how many are passed through. */
interface Opens {
  cached: number;
  passed: number;
  /** While `passed` is not 0: the kernel's id of the backing file, and the file's blob. */
  backing: number;
  blob: BlobId;
}

/** The handle of an open file that is passed through. Other open files have the handle of `KEPT_FILE`. */
const PASSED_HANDLE = 1;

export class SharedOpens implements OpenPolicy {
  private readonly kernel: Kernel;
  private readonly stack: LayerStack;
  private readonly device: number;
  /** A descriptor of the read-only view of the blobs. */
  private readonly view: number;
  private readonly opens = new Map<Ino, Opens>();

  /** EPERM where the process may not make the view or register files, because both need CAP_SYS_ADMIN. */
  constructor(kernel: Kernel, stack: LayerStack, device: number) {
    this.kernel = kernel;
    this.stack = stack;
    this.device = device;
    this.view = kernel.readOnlyView(stack.blobs.directory);
  }

  open(inode: Inode, flags: number): OpenAnswer {
    const opens = this.opensOf(inode.ino);
    const isWriter = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
    if (isWriter) this.requireResizable(inode);
    const mayPass = !isWriter && opens.cached === 0 && (opens.passed > 0 || this.backingOf(inode, opens));
    if (!mayPass) return this.created(inode);
    opens.passed++;
    return { handle: PASSED_HANDLE, flags: Fopen.PASSTHROUGH, backing: opens.backing };
  }

  created({ ino }: Inode): OpenAnswer {
    this.opensOf(ino).cached++;
    return KEPT_FILE;
  }

  openDirectory(): OpenAnswer {
    return KEPT_DIRECTORY;
  }

  requireResizable(inode: Inode): void {
    if ((this.opens.get(inode.ino)?.passed ?? 0) > 0) {
      throw new FsError('ETXTBSY', { note: 'it is open for reading, and the mount shares its pages' });
    }
  }

  release(ino: Ino, handle: number): void {
    const opens = this.opens.get(ino);
    if (opens === undefined) return;
    if (handle === PASSED_HANDLE) {
      opens.passed--;
      if (opens.passed === 0) this.kernel.closeBacking(this.device, opens.backing);
    } else opens.cached--;
    if (opens.passed + opens.cached === 0) this.opens.delete(ino);
  }

  end(): void {
    closeSync(this.view);
  }

  *passedThrough(): Generator<readonly [Ino, BlobId]> {
    for (const [ino, { passed, blob }] of this.opens) if (passed > 0) yield [ino, blob];
  }

  private opensOf(ino: Ino): Opens {
    let opens = this.opens.get(ino);
    if (opens === undefined) {
      opens = { cached: 0, passed: 0, backing: 0, blob: 0 as BlobId }; // No blob has number 0.
      this.opens.set(ino, opens);
    }
    return opens;
  }

  /** Registers the file's blob with the kernel. False when the file is not exactly one blob, or the kernel refuses. */
  private backingOf(inode: Inode, opens: Opens): boolean {
    const blob = this.ownBlobOf(inode);
    if (blob === undefined) return false;
    try {
      const fd = openSync(blobPath(fileLink(this.view), blob), O_RDONLY);
      try {
        opens.backing = this.kernel.openBacking(this.device, fd);
        opens.blob = blob;
        return true;
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      // The host's filesystem cannot be passed through, or the blob is missing, which a read will report.
      if (isFsError(error) || (error as NodeJS.ErrnoException).code !== undefined) return false;
      throw error;
    }
  }

  /** The sealed blob whose bytes, from first to last, are the content of the file; undefined if there is none. */
  private ownBlobOf(inode: Inode): BlobId | undefined {
    const { size } = inode.record;
    if (!inode.isFile || size < BLOCK_SIZE) return undefined;
    const { extents } = this.stack.mappingOf(inode);
    extents.locate(0);
    const { foundBlob: blob, foundPhysical: physical, foundCount: count } = extents;
    const { activeId, blobs } = this.stack;
    // The active blob may change, and so may files of the host.
    if (blob === 0 || blob === activeId || !blobs.isStored(blob)) return undefined;
    if (physical !== 0 || count < blocksFor(size)) return undefined;
    // In a longer blob, a map would show what follows the end of the file.
    return blobs.lengthBytes(blob) === size ? blob : undefined;
  }
}
