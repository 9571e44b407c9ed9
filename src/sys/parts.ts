/** The parts a `System` is put together from. Each file of this room provides one of them, for one way of doing it. */
import type { System } from './system.ts';

/** Calls that one line of node:fs answers, the same in every system. */
export type NameCalls = Pick<
  System,
  | 'open'
  | 'close'
  | 'truncate'
  | 'dataSync'
  | 'fullSync'
  | 'rename'
  | 'unlink'
  | 'makeDirectory'
  | 'syncDirectory'
  | 'readHostLink'
  | 'openHost'
>;

/** Names in an open directory. */
export type NamedCalls = Pick<
  System,
  | 'openAt'
  | 'lstatAt'
  | 'readLinkAt'
  | 'makeDirectoryAt'
  | 'symlinkAt'
  | 'linkAt'
  | 'renameAt'
  | 'unlinkAt'
  | 'removeDirectoryAt'
  | 'makeNodeAt'
>;

/** What the thread pool does. */
export type AsyncCalls = Pick<System, 'preadAsync' | 'pwriteAsync' | 'dataSyncAsync'>;

/** Bytes and space of open files. */
export type FileCalls = Pick<
  System,
  | 'pread'
  | 'tryPread'
  | 'pwrite'
  | 'allocate'
  | 'punch'
  | 'fileSize'
  | 'cloneFile'
  | 'cloneRange'
  | 'seekData'
  | 'seekHole'
  | 'startWriteback'
  | 'dropCache'
>;

export type LockCalls = Pick<System, 'tryLock' | 'lock' | 'unlock'>;

/** Address space of this process. */
export type MemoryCalls = Pick<
  System,
  'canMap' | 'reserve' | 'mapWindow' | 'mapView' | 'mapZeros' | 'unmap' | 'bufferAt' | 'residency' | 'advise'
>;

/** What the kernel says of physical memory. */
export type FrameCalls = Pick<System, 'frameNumbers' | 'frameMapCounts'>;

/** The calls on host trees that node:fs cannot answer in full. */
export type HostCalls = Pick<
  System,
  | 'statHost'
  | 'readHostDirectory'
  | 'readHostXattrs'
  | 'chownFile'
  | 'chmodFile'
  | 'setFileTimes'
  | 'writeFileXattr'
  | 'openInRoot'
  | 'openBeneath'
  | 'statAt'
  | 'statFile'
  | 'readDirectory'
  | 'readFileXattrs'
  | 'fileSystemUuid'
  | 'syncFileSystem'
>;

export type MachineCalls = Pick<System, 'bootId' | 'mapCountMax' | 'mounts' | 'clock'>;
