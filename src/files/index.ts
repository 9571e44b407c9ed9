/**
 * files: trees of files on the host, written and read in one way, and what is done alike with the files of every tree:
 * copying content, comparing it, and giving a file its owner, attributes, mode and times.
 *
 * Invariants: every step below the root of a host tree goes by descriptor, and no symlink leads anywhere that was not
 * checked; owner, attributes, mode and times are set in one order. Neighbours: `sys` has the host's calls, `vfs` the
 * interface that all trees have; `transfer`, `lifecycle`, `owner` and `cli` read and write host trees through here.
 */
export {
  copyContent,
  type DataSource,
  type DataTarget,
  dataOf,
  isSameData,
  shortened,
  targetOf,
} from './content.ts';
export { attempt, DescriptorFiles, type NamedCall, onFile } from './descriptor-files.ts';
export { dress, namedWearer, type Tolerance, timesOf, type Wearer, wearerAt, xattrsOf } from './dress.ts';
export { attributesOf } from './host-attributes.ts';
export { HostFiles } from './host-files.ts';
