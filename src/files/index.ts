/**
 * files: reads and writes trees of files on the host. For files of any tree, it copies and compares content, and sets
 * owner, extended attributes, mode and times.
 *
 * Invariants: every step below the root of a host tree goes by descriptor, and follows no symlink without a check;
 * owner, extended attributes, mode and times are always set in the same order. Neighbours: `sys` has the host's calls,
 * `vfs` the interface of all trees; `transfer`, `lifecycle`, `owner` and `cli` read and write host trees through here.
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
export { attempt, attributesOf, DescriptorFiles, type NamedCall, onFile } from './descriptor-files.ts';
export { dress, namedWearer, type Tolerance, timesOf, type Wearer, wearerAt, xattrsOf } from './dress.ts';
export { HostFiles } from './host-files.ts';
