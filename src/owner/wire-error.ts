/** Errors as JSON, so that the client throws what the owner threw, with code, paths and note. */
import { FsError, type PlainFsError, StoreError, type StoreErrorCode } from '../base/index.ts';

export type WireError =
  | ({ readonly kind: 'fs' } & PlainFsError)
  | {
      readonly kind: 'store';
      readonly code: string;
      readonly operation: string;
      readonly path: string;
      readonly problem: string;
      readonly hint: string;
    }
  /** Any other error: a defect of the owner. */
  | { readonly kind: 'defect'; readonly message: string };

export function toWire(error: unknown): WireError {
  if (error instanceof FsError) return { kind: 'fs', ...error.plain() };
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
      return FsError.fromPlain(error);
    case 'store':
      return new StoreError(
        // The cast: `toWire` took the code from a StoreError. An unknown code of a newer version is only printed.
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
