/**
 * trees: any tree of a store by its name, wherever it is: open in this process, owned for a moment by another one, or
 * mounted by the store's owner. The command and the library reach trees in this one way.
 *
 * Invariants: what is mounted is only reached through its mount and its owner; no state of the filesystem lives here.
 * Neighbours: below it store (trees of this process) and owner (mounted ones); above it library and cli, which pass it
 * to commits and merges for their snapshots and forks.
 */
export { type TreeHandle, Trees, withTrees } from './trees.ts';
