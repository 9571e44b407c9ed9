/** Conflicts of a commit in short form, for tests. */
import type { CommitReport } from '../../src/lifecycle/index.ts';

/** `path kind` of each conflict. */
export function inShort({ conflicts }: CommitReport): string[] {
  return conflicts.map(({ path, kind }) => `${path} ${kind}`);
}
