/** What a commit found changed in the directory too, for tests of commits. */
import type { CommitReport } from '../../src/lifecycle/index.ts';

/** `path kind` of each conflict. */
export function inShort({ conflicts }: CommitReport): string[] {
  return conflicts.map(({ path, kind }) => `${path} ${kind}`);
}
