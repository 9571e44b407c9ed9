/**
 * transfer: moves whole trees between the host and a store. `importTree` makes a snapshot of a host directory or an
 * archive, `exportFileSystem` writes a tree to a host directory or a tar archive. Imports hash content, so that content
 * that the store already has is not stored again.
 *
 * Invariants: an import is all or nothing; host paths and names are bytes; no symlink is followed out of the tree;
 * everything that could not be carried over has a note in the report.
 *
 * Neighbours: `store` below gives the LayerBuilder and the open trees, `sys` the host's calls; `lifecycle`, `library`
 * and `cli` above call it.
 */

export { type ExportOptions, exportFileSystem } from './export.ts';
export {
  type ChangedTree,
  type ChangesFormat,
  type ChangesOptions,
  exportChanges,
} from './export-changes.ts';
export type {
  ExportFormat,
  ExportNote,
  ExportNoteKind,
  ExportReport,
} from './export-report.ts';
export { ExportTally } from './export-report.ts';
export { HostWriter } from './host-writer.ts';
export { importTree } from './import.ts';
export type { ImportNote, ImportNoteKind, ImportReport } from './import-report.ts';
export { Pacing } from './pacing.ts';
export type { TransferProgress } from './tally.ts';
export type { ImportOptions } from './tree-import.ts';
export { TreeReader } from './tree-walk.ts';
export type { WhiteoutForm } from './whiteouts.ts';
