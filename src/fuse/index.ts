/**
 * fuse: trees as ordinary directories, through the FUSE protocol of the kernel (version 7.28 and later).
 *
 * Its parts can be tested separately: `abi` (numbers), `request`, `reply` and the codecs (bytes), the handlers and
 * `dispatch` (one request in, one answer out, no device), `session` (the state of a mount), `serving-loop` and
 * `mounted-tree` (devices), `blocking-calls` (what the serving thread must not do itself).
 *
 * The comment of `Session` states the invariants. Neighbours: `vfs` below, called by inode number; `owner` above.
 */
export type { IoMode, Mount, MountServer, ServeOptions } from './mount-server.ts';
export { createMountServer, type MountServerOptions } from './server.ts';
