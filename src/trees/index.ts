/**
 * trees: any tree of a store by its name, wherever it is: open in this process, open in another process, or mounted by
 * the store's owner process. The command and the library reach all trees through this room.
 *
 * Invariants: a mounted fork is reached only through its mount and its owner; this room keeps no state of the
 * filesystem.
 * Neighbours: below it store (trees of this process) and owner (mounted ones); above it library and cli, which pass a
 * `Trees` to commits and merges.
 */
export { type TreeHandle, Trees, withTrees } from './trees.ts';
