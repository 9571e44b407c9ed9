/** Exports a tree of a store by its name. */
import type { Writable } from 'node:stream';
import type { StoreEngine } from '../../src/store/index.ts';
import { type ExportOptions, type ExportReport, exportFileSystem } from '../../src/transfer/index.ts';

/** Opens the tree for the export unless it is open already. */
export async function exportTree(
  engine: StoreEngine,
  name: string,
  destination: string | Writable,
  options?: ExportOptions,
): Promise<ExportReport> {
  const open = engine.openTreeOf(name);
  const tree = open ?? engine.openTree(name);
  try {
    return await exportFileSystem(engine.system, name, tree.fileSystem, destination, options);
  } finally {
    if (open === undefined) tree.close();
  }
}
