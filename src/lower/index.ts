/**
 * lower: the layers of a tree that the tree never changes, asked one after the other. Most are rows of the tables
 * (`FrozenLayer`). A directory of the host (`HostLayer`) and a union of trees (`UnionLayer`) compute their answers:
 * these are derived layers. `FrozenTree` reads a frozen layer and everything below it as one tree.
 *
 * Invariants: nothing here writes to the tables or to the host. A lower knows nothing of the layers above it. Every
 * number that a derived layer gives out lies in the range of `derived-numbers`.
 *
 * Below it: `meta` for the tables, `blob` for files of the host. Above it: `layer` puts the part that changes on top.
 */
export { dataRuns } from './data-runs.ts';
export { isDerived } from './derived-numbers.ts';
export * from './entry.ts';
export { FrozenLayer, storedRuns } from './frozen-layer.ts';
export { FrozenTree } from './frozen-tree.ts';
export { directoryIdentity, leadsThroughRamet, openDirectory } from './host-directories.ts';
export { HostLayer, type HostLayerParts } from './host-layer.ts';
export { isOrigin } from './host-places.ts';
export { hostRecord, isWrittenSince, recordNow, written } from './host-record.ts';
export { InoSet } from './ino-set.ts';
export * from './lower.ts';
export { holderOf, LowerChain, NamesBetween } from './lower-chain.ts';
export { decodeHostOrigin, type HostOrigin } from './origin-format.ts';
export * from './overlay-marks.ts';
export { UnionLayer } from './union-layer.ts';
export { COMPONENTS_MAX, rootOfUnion } from './union-numbers.ts';
