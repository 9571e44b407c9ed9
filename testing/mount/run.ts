/** Registers the cases of mounts as tests of node:test, over one directory that has a directory for each case. */
import { chmodSync, mkdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { IoMode } from '../../src/fuse/index.ts';
import { coherenceGroup } from './coherence.ts';
import { identityGroup } from './identity.ts';
import { locksGroup } from './locks.ts';
import { fillDirectory, type MountFeatures, type MountGroup } from './mount-case.ts';
import { namesGroup } from './names.ts';
import { mountsOverlays, overlaysGroup } from './overlays.ts';
import { rightsGroup } from './rights.ts';
import { watchesGroup } from './watches.ts';
import { whiteoutsGroup } from './whiteouts.ts';
import { xattrsGroup } from './xattrs.ts';

export const mountGroups: readonly MountGroup[] = [
  coherenceGroup,
  identityGroup,
  namesGroup,
  rightsGroup,
  locksGroup,
  watchesGroup,
  xattrsGroup,
  whiteoutsGroup,
  overlaysGroup,
];

/** Where a case works, below the root of all cases. */
function directoryOf(group: MountGroup, index: number): string {
  return `${group.name}-${index}`;
}

/** Makes and fills the directories of all cases in `root`. Call it before forking `root`. Other users may enter. */
export function fillCases(root: string): void {
  chmodSync(root, 0o755);
  for (const group of mountGroups) {
    for (const [index, mountCase] of group.cases.entries()) {
      const directory = `${root}/${directoryOf(group, index)}`;
      mkdirSync(directory, { recursive: true });
      fillDirectory(directory);
      mountCase.fill?.(directory);
    }
  }
}

/** The features of mounts in an IO mode. `root` is true because only root can mount. */
export function featuresOf(io: IoMode): MountFeatures {
  const writersBesideReaders = io !== 'shared';
  return { root: true, relatime: true, writersBesideReaders, whiteouts: true, overlays: mountsOverlays() };
}

export interface CasesOptions {
  /** Shown in the report. */
  readonly name: string;
  readonly features: MountFeatures;
  /** The directory that `fillCases` has filled, or a fork of it. Not called before the first case runs. */
  readonly root: () => string;
}

export function runMountCases({ name, features, root }: CasesOptions): void {
  for (const group of mountGroups) {
    describe(`${group.name} of ${name}`, () => {
      for (const [index, mountCase] of group.cases.entries()) {
        const missing = mountCase.needs?.find((need) => !features[need]);
        const skip = missing === undefined ? false : `it has no '${missing}'`;
        it(mountCase.name, { skip }, () => mountCase.run(`${root()}/${directoryOf(group, index)}`));
      }
    });
  }
}
