/** `Fork.extentSame`: FIDEDUPERANGE for files by path or descriptor. */
import type { FileSystem, OpenFile } from '../vfs/index.ts';
import { checkInteger, checkObject, isDescriptor } from './arguments.ts';
import { failureOf } from './errors.ts';
import { openFile } from './files.ts';
import { READ_ONLY, READ_WRITE } from './flags.ts';
import type { NodeFsWithDescriptors } from './fs.ts';
import { checkArray } from './library-arguments.ts';

export interface ExtentDestination {
  /** A path, or a descriptor that is open for writing. */
  readonly file: string | Uint8Array | URL | number;
  /** Position in the file, in bytes. */
  readonly offset: number;
}

/** The outcome for one destination. */
export type SameExtentResult =
  | { readonly status: 'same'; readonly bytesDeduped: number }
  | { readonly status: 'differs'; readonly bytesDeduped: 0 }
  | { readonly status: 'error'; readonly bytesDeduped: 0; readonly error: unknown };

const SYSCALL = 'fideduperange';

/** An open tree, and the calls of node:fs on it. */
export interface TreeParts {
  readonly fileSystem: FileSystem;
  readonly calls: NodeFsWithDescriptors;
}

type File = ExtentDestination['file'];

/** Runs `use` with an open file; a file given by path is open only meanwhile. Failures of `use` name `syscall`. */
export function withFile<T>(
  { fileSystem, calls }: TreeParts,
  syscall: string,
  file: File,
  flags: number,
  use: (open: OpenFile) => T,
): T {
  const isOpen = isDescriptor(file);
  // The cast: an fs has only files of its own tree open.
  const open = (isOpen ? calls.fileOf(file, syscall) : openFile(fileSystem, file, flags, 0)) as OpenFile;
  try {
    return use(open);
  } catch (error) {
    throw failureOf(error, syscall, isOpen ? undefined : file);
  } finally {
    if (!isOpen) fileSystem.close(open);
  }
}

export function shareExtents(
  parts: TreeParts,
  source: File,
  sourceOffset: number,
  length: number,
  destinations: readonly ExtentDestination[],
): SameExtentResult[] {
  checkInteger(sourceOffset, 'sourceOffset', 0);
  checkInteger(length, 'length', 0);
  checkArray(destinations, 'destinations');
  for (const [index, destination] of destinations.entries()) {
    checkObject(destination, `destinations[${index}]`);
    checkInteger(destination.offset, 'offset', 0);
  }
  return withFile(parts, SYSCALL, source, READ_ONLY, (from) => {
    // Check the source first, because its failures belong to no destination.
    parts.fileSystem.extentSame(from, sourceOffset, length, []);
    return destinations.map(({ file, offset }): SameExtentResult => {
      try {
        return withFile(parts, SYSCALL, file, READ_WRITE, (to) => {
          const targets = [{ file: to, position: offset }];
          const [outcome] = parts.fileSystem.extentSame(from, sourceOffset, length, targets);
          if (outcome instanceof Error) throw outcome;
          if (outcome?.isSame !== true) return { status: 'differs', bytesDeduped: 0 };
          return { status: 'same', bytesDeduped: outcome.bytesDeduped };
        });
      } catch (error) {
        return { status: 'error', bytesDeduped: 0, error };
      }
    });
  });
}
