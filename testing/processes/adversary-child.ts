/**
 * One of several processes that make it hard for gc: forks, forks of forks, reflinks within and between forks, files
 * open without a name, memory maps, snapshots dropped while they are open, closing and opening again. It knows the
 * content of every block that it can see, and checks blocks all the time.
 */
import { BLOCK_SIZE, isFsError, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import type { OpenFile } from '../../src/vfs/index.ts';
import { BASE_BLOCKS, BASE_FILES, baseTag } from './adversary-base.ts';
import { answerAll } from './child.ts';

const O_RDWR = 0o2;
const O_CREAT = 0o100;
const TREES_MAX = 6;
const FILES_MAX = 10;
const BLOCKS_MAX = 24;
/** On a slow machine the process runs for longer, until it has reached these counts. */
const OPERATIONS_MIN = 200;
const BLOCKS_CHECKED_MIN = 2000;

export interface AdversaryReport {
  readonly operations: number;
  readonly blocksChecked: number;
  readonly problems: readonly string[];
}

/** The tag of each block of a file: the number that is repeated in the whole block; 0 for a hole. */
type Tags = number[];

interface KnownFile {
  tags: Tags;
  /** A descriptor of the file, which may have no name any more. */
  open?: OpenFile;
  view?: ReturnType<Tree['fileSystem']['map']>;
}

interface KnownTree {
  name: string;
  tree: Tree;
  readonly files: Map<string, KnownFile>;
  readonly nameless: KnownFile[];
  /** The tree was dropped, but can be read until it is closed. */
  isDropped: boolean;
}

const [directory, seedText, secondsText] = process.argv.slice(2);
const seed = Number(seedText);
const random = new SeededRandom(seed);
const block = Buffer.alloc(BLOCK_SIZE);
const options = { chainLayersMax: 2 };

class Adversary {
  private engine: StoreEngine;
  private trees: KnownTree[] = [];
  private readonly problems: string[] = [];
  private operations = 0;
  private blocksChecked = 0;
  private names = 0;
  private nextTag = seed * 1_000_000 + 1;

  constructor(engine: StoreEngine) {
    this.engine = engine;
  }

  async run(seconds: number): Promise<AdversaryReport> {
    const end = Date.now() + seconds * 1000;
    const isEnough = (): boolean =>
      Date.now() >= end && this.operations >= OPERATIONS_MIN && this.blocksChecked >= BLOCKS_CHECKED_MIN;
    while (!isEnough() && this.problems.length === 0) {
      await this.step();
      this.operations++;
      // Let timers of the engine run: commit marks, leases, sealing, flattening.
      if (this.operations % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // After a problem, further checks could report its consequences.
    if (this.problems.length === 0) {
      for (const tree of this.trees) this.check(tree);
      await this.engine.close();
    }
    const { operations, blocksChecked, problems } = this;
    return { operations, blocksChecked, problems };
  }

  private async step(): Promise<void> {
    const known = this.trees[random.below(Math.max(1, this.trees.length))];
    const kind = random.below(100);
    try {
      if (known === undefined || kind < 3) this.forkBase();
      else if (kind < 6) this.forkOf(known);
      else if (kind < 9) this.snapshotOf(known);
      else if (kind < 12) this.drop(known);
      else if (kind < 14) this.reopen(known);
      else if (kind < 15) await this.reopenStore();
      else if (kind < 18) this.engine.openTrees.settleLease();
      else if (kind < 30) this.check(known);
      else if (!known.tree.isReadOnly) this.change(known, kind);
    } catch (error) {
      this.problems.push(
        `operation ${this.operations}: ${error instanceof Error ? error.stack : String(error)}`,
      );
    }
  }

  // Trees.

  private add(tree: Tree, name: string, files: ReadonlyMap<string, KnownFile>): void {
    const copies = [...files].map(([path, { tags }]): [string, KnownFile] => [path, { tags: [...tags] }]);
    this.trees.push({ name, tree, files: new Map(copies), nameless: [], isDropped: false });
    if (this.trees.length > TREES_MAX) this.drop(this.trees[0]!);
  }

  private newName(): string {
    return `p${seed}-${this.names++}`;
  }

  private forkBase(): void {
    const name = this.newName();
    const files = new Map<string, KnownFile>();
    for (let file = 0; file < BASE_FILES; file++) {
      files.set(`/f${file}`, { tags: Array.from({ length: BASE_BLOCKS }, (_, at) => baseTag(file, at)) });
    }
    this.add(this.engine.fork('base', name), name, files);
  }

  private forkOf(known: KnownTree): void {
    if (known.isDropped) return;
    const name = this.newName();
    this.add(this.engine.fork(known.name, name), name, known.files);
  }

  private snapshotOf(known: KnownTree): void {
    if (known.isDropped) return;
    const name = this.newName();
    this.engine.snapshot(known.name, name);
    this.add(this.engine.openTree(name), name, known.files);
  }

  /** Drops a tree: a fork is closed first, a snapshot may stay open for a while. */
  private drop(known: KnownTree): void {
    const keepsReading = known.tree.isReadOnly && !known.isDropped && random.below(2) === 0;
    if (!keepsReading) this.close(known);
    if (!known.isDropped) this.engine.drop(known.name);
    known.isDropped = true;
    if (!keepsReading) this.trees = this.trees.filter((one) => one !== known);
  }

  private close(known: KnownTree): void {
    this.check(known);
    known.tree.close();
    known.nameless.length = 0;
    for (const file of known.files.values()) {
      delete file.open;
      delete file.view;
    }
  }

  private reopen(known: KnownTree): void {
    if (known.isDropped) return;
    this.close(known);
    known.tree = this.engine.openTree(known.name);
  }

  /** Opens the store again, without any state in memory: no windows, verified checksums or leases. */
  private async reopenStore(): Promise<void> {
    for (const known of this.trees) this.close(known);
    this.trees = this.trees.filter(({ isDropped }) => !isDropped);
    await this.engine.close();
    this.engine = await StoreEngine.open(directory!, options);
    for (const known of this.trees) known.tree = this.engine.openTree(known.name);
  }

  // Files.

  private change(known: KnownTree, kind: number): void {
    const { fileSystem } = known.tree;
    const paths = [...known.files.keys()];
    const path = paths[random.below(paths.length)];
    if (path === undefined || kind < 34) {
      const made = `/n${random.below(FILES_MAX)}`;
      if (known.files.has(made)) return;
      fileSystem.close(fileSystem.open(made, O_RDWR | O_CREAT, 0o644));
      known.files.set(made, { tags: [] });
      return;
    }
    const file = known.files.get(path)!;
    if (kind < 64) this.write(known, path, file);
    else if (kind < 70) this.truncate(known, path, file);
    else if (kind < 78) this.reflink(known, file, path);
    else if (kind < 84) this.unlink(known, path, file);
    else if (kind < 90) this.map(known, path, file);
    else if (kind < 94) known.tree.checkpoint();
    else this.punch(known, path, file);
  }

  private write(known: KnownTree, path: string, file: KnownFile): void {
    const at = random.below(BLOCKS_MAX);
    const count = 1 + random.below(4);
    const { fileSystem } = known.tree;
    const open = fileSystem.open(path, O_RDWR, 0);
    for (let index = at; index < at + count; index++) {
      const tag = this.nextTag++;
      fileSystem.write(open, tagged(tag), 0, BLOCK_SIZE, index * BLOCK_SIZE);
      while (file.tags.length < index) file.tags.push(0);
      file.tags[index] = tag;
    }
    fileSystem.close(open);
  }

  private truncate(known: KnownTree, path: string, file: KnownFile): void {
    const blocks = random.below(BLOCKS_MAX);
    known.tree.fileSystem.truncate(path, blocks * BLOCK_SIZE);
    while (file.tags.length < blocks) file.tags.push(0);
    file.tags.length = blocks;
  }

  private punch(known: KnownTree, path: string, file: KnownFile): void {
    const at = random.below(BLOCKS_MAX);
    const { fileSystem } = known.tree;
    const open = fileSystem.open(path, O_RDWR, 0);
    fileSystem.punch(open, at * BLOCK_SIZE, BLOCK_SIZE);
    fileSystem.close(open);
    if (at < file.tags.length) file.tags[at] = 0;
  }

  /** Reflinks into a file of this tree, or of another that this process has open. */
  private reflink(known: KnownTree, source: KnownFile, path: string): void {
    const target = this.trees[random.below(this.trees.length)]!;
    if (target.tree.isReadOnly) return;
    const to = `/n${random.below(FILES_MAX)}`;
    if (target === known && to === path) return;
    const from = known.tree.fileSystem.open(path, 0, 0);
    const open = target.tree.fileSystem.open(to, O_RDWR | O_CREAT, 0o644);
    const file = target.files.get(to) ?? { tags: [] };
    target.files.set(to, file);
    try {
      target.tree.fileSystem.reflink(from, open, known.tree.fileSystem);
      file.tags = [...source.tags];
    } catch (error) {
      // EXDEV: blocks of another fork that are not frozen.
      if (!isFsError(error, 'EXDEV')) throw error;
    } finally {
      target.tree.fileSystem.close(open);
      known.tree.fileSystem.close(from);
    }
  }

  private unlink(known: KnownTree, path: string, file: KnownFile): void {
    const { fileSystem } = known.tree;
    if (random.below(2) === 0)
      known.nameless.push({ tags: file.tags, open: fileSystem.open(path, O_RDWR, 0) });
    fileSystem.unlink(path);
    known.files.delete(path);
    file.view?.close();
  }

  private map(known: KnownTree, path: string, file: KnownFile): void {
    file.view?.close();
    delete file.view;
    if (!this.engine.system.canMap || file.tags.length === 0) return;
    const { fileSystem } = known.tree;
    const open = fileSystem.open(path, O_RDWR, 0);
    try {
      file.view = fileSystem.map(open, { reserveBytes: (BLOCKS_MAX + 8) * BLOCK_SIZE });
    } catch (error) {
      // ENOMEM: the kernel's limit of maps, vm.max_map_count.
      if (!isFsError(error, 'ENOMEM')) throw error;
    } finally {
      fileSystem.close(open);
    }
  }

  // Checks.

  private check(known: KnownTree): void {
    const { fileSystem } = known.tree;
    for (const [path, file] of known.files) {
      const open = fileSystem.open(path, 0, 0);
      this.checkFile(known, path, file.tags, open);
      fileSystem.close(open);
      if (file.view !== undefined) this.checkView(known, path, file);
    }
    for (const { tags, open } of known.nameless) this.checkFile(known, 'a file without a name', tags, open!);
  }

  private checkFile(known: KnownTree, path: string, tags: Tags, open: OpenFile): void {
    const { fileSystem } = known.tree;
    const { size } = fileSystem.statFile(open);
    if (size !== tags.length * BLOCK_SIZE) this.problems.push(`${known.name}:${path} has ${size} bytes`);
    for (const [index, tag] of tags.entries()) {
      fileSystem.read(open, block, 0, BLOCK_SIZE, index * BLOCK_SIZE);
      this.compare(`${known.name}:${path} block ${index}`, block, tag);
    }
  }

  private checkView(known: KnownTree, path: string, { view, tags }: KnownFile): void {
    const { bytes } = view!;
    for (const [index, tag] of tags.entries()) {
      const start = index * BLOCK_SIZE;
      if (start + BLOCK_SIZE > bytes.length) return;
      this.compare(
        `${known.name}:${path} mapped block ${index}`,
        bytes.subarray(start, start + BLOCK_SIZE),
        tag,
      );
    }
  }

  private compare(where: string, bytes: Uint8Array, tag: number): void {
    this.blocksChecked++;
    if (Buffer.compare(bytes, tagged(tag)) === 0) return;
    const found = Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32LE(0);
    this.problems.push(`${where} holds ${found}, not ${tag}, after ${this.operations} operations`);
  }
}

const expected = Buffer.alloc(BLOCK_SIZE);

function tagged(tag: number): Buffer {
  return expected.fill(Uint8Array.of(tag & 255, (tag >> 8) & 255, (tag >> 16) & 255, (tag >> 24) & 255));
}

const adversary = new Adversary(await StoreEngine.open(directory!, options));
answerAll(() => adversary.run(Number(secondsText)));
process.send!('ready');
