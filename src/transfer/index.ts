/**
 * transfer: whole trees between the host and a store: `importTree` makes a snapshot of a host directory or an archive,
 * `exportTree` writes a tree to a host directory or a tar archive. It also hashes content, so that what is in
 * the store already is not stored again.
 *
 * Invariants: an import is all or nothing; host paths and names are bytes; nothing of the host is followed
 * out of the tree (symlinks are recorded, never walked); what could not be carried over has a note in the
 * report.
 *
 * Neighbours: `store` below gives the LayerBuilder and the open trees, `sys` the host's calls;
 * `lifecycle`, `library` and `cli` above call it.
 */

export { type ExportOptions, type ExportSource, exportFileSystem, exportTree } from './export.ts';
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
  ExportProgress,
  ExportReport,
} from './export-report.ts';
export { ExportTally } from './export-report.ts';
export { HostWriter } from './host-writer.ts';
export { importTree } from './import.ts';
export type { ImportNote, ImportNoteKind, ImportProgress, ImportReport } from './import-report.ts';
export { Pacing } from './pacing.ts';
export type { ImportOptions } from './tree-import.ts';
export { TreeReader } from './tree-walk.ts';
export type { WhiteoutForm } from './whiteouts.ts';
