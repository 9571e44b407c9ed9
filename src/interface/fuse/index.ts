/**
 * interface/fuse: trees as ordinary directories, through the FUSE protocol of the kernel.
 */
export type { IoMode, Mount, MountOptions, MountServer } from './mount-server.ts';
