/** The lowers of a fork, by name: trees, and directories of the host by their paths. */
import { FsError } from '../base/index.ts';
import { COMPONENTS_MAX } from '../lower/index.ts';

/** Separates the names of a union's lowers in its source. The name of a tree cannot contain this character. */
export const LOWERS_SEPARATOR = ':';

/** True when a lower is named by a path: the name of a tree has no slash. */
export function isHostPath(lower: string): boolean {
  return lower.includes('/') || lower === '.' || lower === '..';
}

/** The uppermost lower in the source of a union; for any other tree, the whole source. */
export function uppermostOf(source: string): string {
  return source.split(LOWERS_SEPARATOR)[0] ?? source;
}

/** Throws EINVAL for a lower that is named twice, or for more lowers than a union may have. */
export function requireLowers(lowers: readonly string[], name: string): void {
  requireLowerCount(lowers.length, name);
  const twice = lowers.find((lower, index) => lowers.indexOf(lower) !== index);
  if (twice === undefined) return;
  throw new FsError('EINVAL', { syscall: 'fork', path: name, note: `the lower '${twice}' is named twice` });
}

export function requireLowerCount(count: number, name: string): void {
  if (count <= COMPONENTS_MAX) return;
  const note = `${count} lowers, at most ${COMPONENTS_MAX} are stacked: merge some of them into a snapshot first`;
  throw new FsError('EINVAL', { syscall: 'fork', path: name, note });
}
