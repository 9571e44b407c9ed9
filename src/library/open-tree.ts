/** An open tree with its functions of node:fs. `Fork` and `Snapshot` of the library are built on this class. */
import type { View } from '../mapping/index.ts';
import type { Tree } from '../store/index.ts';
import type { SpaceCounts } from '../vfs/index.ts';
import { checkDescriptor } from './arguments.ts';
import { type TreeParts, withFile } from './extent-same.ts';
import { READ_ONLY } from './flags.ts';
import { createNodeFs, type NodeFs, type NodeFsWithDescriptors } from './fs.ts';
import { checkOptions, MAP, type MapFileOptions } from './library-arguments.ts';

export class OpenTree {
  readonly tree: Tree;
  private readonly countSpace: () => SpaceCounts;
  private nodeFs: NodeFsWithDescriptors | undefined;
  private readonly onClose: (tree: OpenTree) => void;
  private isOpen = true;

  constructor(tree: Tree, countSpace: () => SpaceCounts, onClose: (tree: OpenTree) => void) {
    this.tree = tree;
    this.onClose = onClose;
    this.countSpace = countSpace;
  }

  /**
   * The tree's functions of node:fs. Made on first use: there are some hundred, which an unused fork can do without.
   */
  private get calls(): NodeFsWithDescriptors {
    this.nodeFs ??= createNodeFs(this.tree.fileSystem, this.countSpace);
    return this.nodeFs;
  }

  get parts(): TreeParts {
    return { fileSystem: this.tree.fileSystem, calls: this.calls };
  }

  get fs(): NodeFs {
    return this.calls.fs;
  }

  /** True when files of the tree are open or mapped. */
  get isInUse(): boolean {
    for (const inode of this.tree.stack.inodes.values()) if (inode.isInUse) return true;
    return false;
  }

  map(file: string | Uint8Array | URL | number, options: MapFileOptions): View {
    // A number is never a path: 1.5 is a wrong descriptor.
    if (typeof file === 'number') checkDescriptor(file);
    checkOptions(options, MAP);
    // The view keeps the file alive, as a mapping does on Linux.
    return withFile(this.parts, 'mmap', file, READ_ONLY, (open) => this.tree.fileSystem.map(open, options));
  }

  /** Closes the descriptors, then the tree. May be called twice. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClose(this);
    this.nodeFs?.closeAll();
    this.tree.close();
  }
}
