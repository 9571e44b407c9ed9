/** For tests: an empty fork in a store of its own, in a temporary directory, as node:fs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeFs, NodeFsWithDescriptors } from '../../src/library/fs.ts';
import { createNodeFs } from '../../src/library/fs.ts';
import { StoreEngine } from '../../src/store/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';

export interface TreeFixture extends AsyncDisposable {
  readonly fs: NodeFs;
  readonly nodeFs: NodeFsWithDescriptors;
  readonly fileSystem: FileSystem;
  readonly engine: StoreEngine;
}

/** A directory of the host that is removed when the fixture is disposed. */
export class HostDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'ramet-node-'));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export async function openTestTree(): Promise<TreeFixture> {
  const host = new HostDirectory();
  const engine = await StoreEngine.open(join(host.path, 'store'), { create: true });
  const { fileSystem } = engine.createEmpty('test');
  const nodeFs = createNodeFs(fileSystem);
  return {
    fs: nodeFs.fs,
    nodeFs,
    fileSystem,
    engine,
    async [Symbol.asyncDispose](): Promise<void> {
      await engine.close();
      host[Symbol.dispose]();
    },
  };
}
