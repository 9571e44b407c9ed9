/**
 * demo: an experiment that shows and checks what Ramet does. It imports a tree with one large file, forks the tree many
 * times, changes a little in each fork, reads every byte of every fork, and measures disk and memory meanwhile.
 *
 * Invariants: the demo computes the expected content of a fork from a seed and the imported tree, never from another
 * fork; nothing stays on the disk, even after a failure; each figure is measured in this run, or absent with a reason.
 * Neighbours: the demo uses `library` like any other program, and asks `sys` about pages and frames; `cli` runs the
 * demo and prints the result. The benchmarks use its measurements of the host.
 */
export { type DemoOptions, type DemoResult, type DemoTimes, runDemo } from './demo.ts';
export type { FrameFigures } from './frame-figures.ts';
export {
  type Absent,
  cachedBytes,
  cachedGrowth,
  directoryOnDisk,
  diskBytes,
  evictFiles,
  filesUnder,
  isAbsent,
  residentBytes,
} from './host-measures.ts';
export { median, quantile } from './quantiles.ts';
export { SeededBytes } from './seeded-bytes.ts';
