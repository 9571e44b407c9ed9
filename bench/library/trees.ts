/** Opens the tree of the library benchmark in each contender, with calls in the shape of node:fs. */
import * as hostFs from 'node:fs';
import { createFsFromVolume, Volume } from 'memfs';
import { Store } from '../../src/library/index.ts';
import { importPeer } from '../peers/packages.ts';
import type { LibraryArgument, LibraryContender } from './cases.ts';

/** The part of node:fs that is measured. */
export interface MeasuredFs {
  openSync(path: string, flags: string): number;
  closeSync(fd: number): void;
  readSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  readFileSync(path: string): string | Uint8Array;
  statSync(path: string): { readonly size: number } | undefined;
  writeFileSync(path: string, data: Buffer): void;
  unlinkSync(path: string): void;
  mkdirSync(path: string, options: { readonly recursive: true }): unknown;
  readdirSync(path: string): readonly unknown[];
}

/** An open tree: its fs, and the path of its root. */
export interface OpenTree {
  readonly fs: MeasuredFs;
  readonly root: string;
  close(): Promise<void>;
}

/** The calls of just-bash's filesystems, which all return promises. */
export interface PromisedFs {
  readFileBuffer(path: string): Promise<Uint8Array>;
  stat(path: string): Promise<{ readonly size: number }>;
  writeFile(path: string, data: Uint8Array): Promise<void>;
  rm(path: string): Promise<void>;
  readdir(path: string): Promise<readonly string[]>;
}

/** The parts of @zenfs/core that are used. */
interface Zenfs {
  readonly fs: unknown;
  readonly InMemory: unknown;
  readonly CopyOnWrite: unknown;
  readonly mounts: ReadonlyMap<string, unknown>;
  configureSingle(configuration: unknown): Promise<void>;
}

interface JustBash {
  readonly OverlayFs: new (options: { readonly root: string; readonly mountPoint: string }) => PromisedFs;
}

const NOTHING = (): Promise<void> => Promise.resolve();

/** Copies the tree on the host into a filesystem that begins empty. */
function fill(fs: MeasuredFs, root: string): void {
  for (const entry of hostFs.readdirSync(root, { recursive: true, withFileTypes: true })) {
    const host = `${entry.parentPath}/${entry.name}`;
    if (entry.isDirectory()) continue;
    fs.mkdirSync(entry.parentPath.slice(root.length) || '/', { recursive: true });
    fs.writeFileSync(host.slice(root.length), hostFs.readFileSync(host));
  }
}

function openMemfs(root: string): OpenTree {
  // The cast: memfs has the calls of node:fs; the types differ only in overloads that are not used here.
  const fs = createFsFromVolume(new Volume()) as unknown as MeasuredFs;
  fill(fs, root);
  return { fs, root: '', close: NOTHING };
}

async function openRamet(storeDirectory: string, name: string): Promise<OpenTree> {
  const store = await Store.open(storeDirectory);
  const fork = await store.fork(name);
  return { fs: fork.fs as MeasuredFs, root: '', close: () => store.close() };
}

async function openZenfs(packages: string, root: string, isCopyOnWrite: boolean): Promise<OpenTree> {
  const zenfs = await importPeer<Zenfs>(packages, '@zenfs/core');
  const fs = zenfs.fs as MeasuredFs; // The cast: its documentation promises the calls of node:fs.
  await zenfs.configureSingle({ backend: zenfs.InMemory });
  fill(fs, root);
  if (isCopyOnWrite) {
    // The lower filesystem is in memory too: over Passthrough, to the host, the first write fails in version 2.7.6.
    const readable = zenfs.mounts.get('/');
    await zenfs.configureSingle({
      backend: zenfs.CopyOnWrite,
      readable,
      writable: { backend: zenfs.InMemory },
    });
  }
  return { fs, root: '', close: NOTHING };
}

/** Opens the tree in a contender whose calls are synchronous. */
export async function openLibraryTree({ contender, root }: LibraryArgument): Promise<OpenTree> {
  switch (contender.kind) {
    case 'host':
      return { fs: hostFs as MeasuredFs, root, close: NOTHING };
    case 'memfs':
      return openMemfs(root);
    case 'ramet':
      return openRamet(contender.storeDirectory, contender.fork);
    case 'zenfs memory':
    case 'zenfs copy-on-write':
      return openZenfs(contender.packages, root, contender.kind === 'zenfs copy-on-write');
    case 'just-bash':
      throw new Error('just-bash has no synchronous calls');
  }
}

/** just-bash's copy-on-write filesystem over the tree on the host. */
export async function openJustBash(
  contender: Extract<LibraryContender, { readonly packages: string }>,
  root: string,
): Promise<PromisedFs> {
  const { OverlayFs } = await importPeer<JustBash>(contender.packages, 'just-bash');
  return new OverlayFs({ root, mountPoint: '/' });
}
