/**
 * testing/conformance: one suite of cases for everything with the API of node:fs: the host (which proves that the
 * cases are right), a fork of a store, a fork of a fork, a mount.
 *
 * Invariants: a case works only below the root of its subject, closes what it opens, and does not look at the host
 * except through the subject. Each file holds the cases of one subject.
 */
import { attributesGroup } from './attributes.ts';
import { dataGroup } from './data.ts';
import { directoryGroup } from './directory.ts';
import { handlesGroup } from './handles.ts';
import { linksGroup } from './links.ts';
import { openGroup } from './open.ts';
import { pathsGroup } from './paths.ts';
import { renameGroup } from './rename.ts';
import type { CaseGroup } from './subject.ts';
import { timesGroup } from './times.ts';
import { treesGroup } from './trees.ts';
import { truncateGroup } from './truncate.ts';

export const conformanceGroups: readonly CaseGroup[] = [
  openGroup,
  renameGroup,
  directoryGroup,
  linksGroup,
  dataGroup,
  truncateGroup,
  timesGroup,
  attributesGroup,
  pathsGroup,
  handlesGroup,
  treesGroup,
];
