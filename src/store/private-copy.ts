/**
 * Lets a process read a store without changing anything there: it makes no lock, no lease, no file. The process works
 * on a private copy of the tables and journals, in memory if the machine has /dev/shm, and reads the store's own blobs.
 *
 * Others may write to the store meanwhile, and know nothing of this reader. So it makes a new copy until nothing has
 * changed during the copying. Every read compares blocks with their checksums. A blob without checksums is read only
 * while its file is as it was at the time of the copy (`BlobSpace.expect`): reads of a blob that has changed since
 * fail, and never return other bytes.
 */
import { FsError, isDiskFull, isMissing, type LayerId, sleepBlocking, type Timespec } from '../base/index.ts';
import { type BlobSpace, blobPath } from '../blob/index.ts';
import { type MetaTables, tablesTransaction } from '../meta/index.ts';
import { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY, type System } from '../sys/index.ts';
import { StoreLayout } from './layout.ts';
import { PrivateDirectory } from './private-directory.ts';

/** Where the copy may lie; the next is tried if there is no room. */
const PLACES: readonly string[] = [...new Set(['/dev/shm', process.env.TMPDIR || '/tmp', '/tmp'])];
const PIECE_BYTES = 1024 * 1024;
/** How many times to try to copy a store that others change; the wait between two tries grows by a step each time. */
const TRIES_MAX = 20;
const WAIT_STEP_MS = 5;

interface Taken {
  readonly copy: PrivateCopy;
  readonly tables: MetaTables;
}

export class PrivateCopy {
  /** The paths of the store's own blobs, and of the private tables and journals. */
  readonly layout: StoreLayout;
  /** Writable layers whose journals are stored in the private tables. */
  readonly settled = new Set<LayerId>();
  /** Writable layers that changed while they were copied. */
  readonly changing = new Set<LayerId>();
  private readonly system: System;
  private readonly source: StoreLayout;
  private readonly directory: PrivateDirectory;
  private readonly journals = new Map<string, Buffer>();
  private transaction = 0n;

  private constructor(system: System, source: StoreLayout, directory: PrivateDirectory) {
    this.system = system;
    this.source = source;
    this.directory = directory;
    this.layout = new StoreLayout(source.directory, directory.path);
  }

  /**
   * Copies a store, and opens the tables of the copy with `open`. EBUSY if others change the store all the time; EACCES
   * if there is no place for the copy; errors of the host.
   */
  static async take(
    system: System,
    source: StoreLayout,
    blobs: BlobSpace,
    open: (directory: string) => MetaTables,
  ): Promise<Taken> {
    let full: unknown;
    for (const place of PLACES) {
      try {
        const taken = await PrivateCopy.takeIn(place, system, source, blobs, open);
        if (taken !== undefined) return taken;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        full = error;
      }
    }
    const note = `there is no place for a private copy of the tables in ${PLACES.join(' or ')}`;
    throw full ?? new FsError('EACCES', { syscall: 'mkdir', note });
  }

  /** Undefined if no directory can be made in `place`. */
  private static async takeIn(
    place: string,
    system: System,
    source: StoreLayout,
    blobs: BlobSpace,
    open: (directory: string) => MetaTables,
  ): Promise<Taken | undefined> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const directory = PrivateDirectory.make(system, place);
      if (directory === undefined) return undefined;
      const copy = new PrivateCopy(system, source, directory);
      let tables: MetaTables | undefined;
      let isCurrent = false;
      try {
        copy.fill();
        tables = open(copy.layout.metaDirectory);
        copy.expectBlobs(tables, blobs);
        isCurrent = copy.isCurrent(tries === TRIES_MAX);
        if (isCurrent) return { copy, tables };
      } finally {
        if (!isCurrent) {
          await tables?.close();
          copy.remove();
        }
      }
      sleepBlocking(tries * WAIT_STEP_MS);
    }
    const note = 'other processes change the store all the time: try again';
    throw new FsError('EBUSY', { syscall: 'open', path: source.directory, note });
  }

  /**
   * Copies journals before tables. Then the copied tables may already have records that a copied journal still has,
   * which replay skips; in the other order, records could be missing from both.
   */
  private fill(): void {
    const { system, source, layout } = this;
    for (const part of layout.ownParts) system.makeDirectory(part);
    for (const name of journalsIn(system, source)) {
      const bytes = readAll(system, `${source.journalsDirectory}/${name}`);
      if (bytes === undefined || bytes.length === 0) continue;
      this.journals.set(name, bytes);
      writeAll(system, `${layout.journalsDirectory}/${name}`, (write) => write(bytes, bytes.length));
    }
    this.transaction = tablesTransaction(source.metaDirectory);
    if (this.transaction > 0n)
      copyFile(system, `${source.metaDirectory}/data.mdb`, `${layout.metaDirectory}/data.mdb`);
  }

  /** Notes when the files of blobs without checksums were last changed. */
  private expectBlobs(tables: MetaTables, blobs: BlobSpace): void {
    for (const [, { state, activeBlob, unsealedBlobs }] of tables.layers.entries()) {
      for (const id of state === 'frozen' ? unsealedBlobs : [activeBlob]) {
        if (id !== 0) blobs.expect(id, changedAt(this.system, blobPath(blobs.directory, id)));
      }
    }
  }

  /**
   * True if the store is still as it was copied. With `isLast`, journals may have changed. Adds the layers of changed
   * journals to `changing`.
   */
  private isCurrent(isLast: boolean): boolean {
    const { system, source, journals } = this;
    for (const name of new Set([...journalsIn(system, source), ...journals.keys()])) {
      const now = readAll(system, `${source.journalsDirectory}/${name}`) ?? Buffer.alloc(0);
      // The cast: a journal is named by its layer.
      if (!now.equals(journals.get(name) ?? Buffer.alloc(0))) this.changing.add(Number(name) as LayerId);
    }
    return (
      (isLast || this.changing.size === 0) && tablesTransaction(source.metaDirectory) === this.transaction
    );
  }

  remove(): void {
    this.directory.remove();
  }
}

/** The names of the journals. Leaves out the lock files that lie beside them if the host has no locks. */
function journalsIn(system: System, { journalsDirectory }: StoreLayout): string[] {
  return namesIn(system, journalsDirectory).filter((name) => /^\d+$/.test(name));
}

function namesIn(system: System, directory: string): string[] {
  try {
    return system.readHostDirectory(Buffer.from(directory)).map(({ name }) => name.toString());
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function changedAt(system: System, path: string): Timespec | undefined {
  try {
    return system.statHost(Buffer.from(path), false).ctime;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** All bytes of a file; undefined if there is no such file. */
function readAll(system: System, path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = system.open(path, O_RDONLY);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(system.fileSize(fd).sizeBytes);
    return bytes.subarray(0, system.pread(fd, bytes, 0, bytes.length, 0));
  } finally {
    system.close(fd);
  }
}

function writeAll(
  system: System,
  path: string,
  fill: (write: (bytes: Buffer, length: number) => void) => void,
): void {
  const fd = system.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    let position = 0;
    fill((bytes, length) => {
      system.pwrite(fd, bytes, 0, length, position);
      position += length;
    });
  } finally {
    system.close(fd);
  }
}

function copyFile(system: System, from: string, to: string): void {
  const fd = system.open(from, O_RDONLY);
  try {
    writeAll(system, to, (write) => {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      for (let position = 0, length = 0; ; position += length) {
        length = system.pread(fd, piece, 0, piece.length, position);
        if (length === 0) return;
        write(piece, length);
      }
    });
  } finally {
    system.close(fd);
  }
}
