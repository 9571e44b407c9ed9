/** Calls about whole trees. Their failures are thrown in Node's shape, with the operation and the tree's name. */
import { FsError } from '../base/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { type Trees, withTrees } from '../trees/index.ts';
import { systemFailure } from './errors.ts';

/** The error of a failed operation on a tree. Keeps the system call and the path if `error` names them. */
export function treeFailure(operation: string, name: string, error: unknown): unknown {
  if (!(error instanceof FsError)) return error;
  const { code, syscall = operation, path = name, dest, note } = error;
  return systemFailure(code, syscall, path, dest, note);
}

/** Makes a call about the tree `name`; throws its failure in the shape of `treeFailure`. */
export function named<T>(operation: string, name: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw treeFailure(operation, name, error);
  }
}

/** Like `named`, for a call that reaches trees wherever they are. */
export async function reaching<T>(
  engine: StoreEngine,
  operation: string,
  name: string,
  call: (trees: Trees) => Promise<T>,
): Promise<T> {
  try {
    return await withTrees(engine, call);
  } catch (error) {
    throw treeFailure(operation, name, error);
  }
}
