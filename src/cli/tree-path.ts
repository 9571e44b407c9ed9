/** `FORK:/path`: how a command line names a file inside the store. */
import { nameFromString, nameToString } from '../base/index.ts';
import { usageError } from './problem.ts';

export interface TreePath {
  readonly tree: string;
  /** Absolute path, a byte string (base/names). */
  readonly path: string;
}

const TREE_PATH = /^([^:/]+):(\/.*)?$/s;

/** The tree and path that the text names. Undefined for any other text, which is a host path. */
export function parseTreePath(text: string): TreePath | undefined {
  const match = TREE_PATH.exec(text);
  if (match === null) return undefined;
  return { tree: match[1]!, path: nameFromString(match[2] ?? '/') };
}

/** The file named by an argument that must lie in a tree; a usage error if the text names none. */
export function requireTreePath(text: string): TreePath {
  const parsed = parseTreePath(text);
  if (parsed === undefined) {
    throw usageError(`'${text}' does not name a file in a fork or snapshot`, 'write NAME:/path');
  }
  return parsed;
}

/** Like `requireTreePath`, but a bare name of a tree means its root. */
export function treePathOrRoot(text: string): TreePath {
  const parsed = parseTreePath(text);
  if (parsed !== undefined) return parsed;
  if (text === '' || text.includes('/') || text.includes(':')) {
    throw usageError(`'${text}' names neither a tree nor a file in one`, 'write NAME or NAME:/path');
  }
  return { tree: text, path: nameFromString('/') };
}

/** The text `TREE:/path`, for messages and listings. */
export function showTreePath(tree: string, path: string): string {
  return `${tree}:${nameToString(path)}`;
}

/** Joins a directory and a name, both byte strings. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}

/** The last part of a path, a byte string; '' for the root. */
export function baseName(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}
