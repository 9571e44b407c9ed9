/** Errors as they travel: what was thrown in the owner is thrown by the client, code, paths, note and all. */
import { FsError, StoreError, type StoreErrorCode } from '../base/index.ts';

export type WireError =
  | {
      readonly kind: 'fs';
      readonly code: string;
      readonly syscall?: string | undefined;
      readonly path?: string | undefined;
      readonly dest?: string | undefined;
      readonly note?: string | undefined;
    }
  | {
      readonly kind: 'store';
      readonly code: string;
      readonly operation: string;
      readonly path: string;
      readonly problem: string;
      readonly hint: string;
    }
  /** A defect of the owner. */
  | { readonly kind: 'defect'; readonly message: string };

export function toWire(error: unknown): WireError {
  if (error instanceof FsError) {
    const { code, syscall, path, dest, note } = error;
    return { kind: 'fs', code, syscall, path, dest, note };
  }
  if (error instanceof StoreError) {
    const { code, operation, path, hint } = error;
    const problem = error.message.slice(`${operation} '${path}': `.length, -`. ${hint}`.length);
    return { kind: 'store', code, operation, path, problem, hint };
  }
  return { kind: 'defect', message: error instanceof Error ? error.message : String(error) };
}

export function fromWire(error: WireError): Error {
  switch (error.kind) {
    case 'fs':
      // The cast: `toWire` took it from an FsError; one of a newer version is shown as it is.
      return new FsError(error.code as FsError['code'], error);
    case 'store':
      return new StoreError(
        // The cast: as above.
        error.code as StoreErrorCode,
        error.operation,
        error.path,
        error.problem,
        error.hint,
      );
    case 'defect':
      return new Error(`in the owner process: ${error.message}`);
  }
}
