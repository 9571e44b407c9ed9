/**
 * store: opens, wires and owns everything: trees by name, layers, leases, sealing, flattening.
 *
 * `StoreEngine` states the invariants. Neighbours: below, `vfs` and all rooms under it; above, rooms that take the
 * engine and hold no state of the filesystem.
 */
export { type CacheLimits, TreeCache } from '../layer/index.ts';
export { requireOwnStore } from './access.ts';
export * from './engine.ts';
export * from './layer-builder.ts';
export { LayerLock } from './layer-lock.ts';
export { FORMAT_VERSION, StoreLayout } from './layout.ts';
export { livingLeases } from './leases.ts';
export { isHostPath, uppermostOf } from './lowers.ts';
export {
  commonState,
  dropOpen,
  forkOver,
  forkState,
  freeName,
  hostState,
  renameSnapshot,
  replaceTree,
  type SettledElsewhere,
  settleTree,
  stateFrom,
  storedTrees,
} from './states.ts';
export type { StoreCounts, StoreOptions } from './store-options.ts';
export { commonLayer, StoredTree, type TreeState } from './stored-tree.ts';
export { type MountUse, Tree, type TreeInfo } from './tree.ts';
