/**
 * Content that an import has stored, and whose rows in the content table are not written yet.
 *
 * The keys of the content table are hashes. If rows were written in the order of files, each row would change another
 * page of LMDB, and the page would be copied, written and synced for that one row. Instead the queue gathers many rows
 * and writes them in the order of their keys, so that a page gets all its rows at once. Nothing needs them sooner: the
 * import itself finds its content here, and other imports use no content before its blob is sealed.
 */
import type { BlobId, BlockIndex } from '../base/index.ts';

/**
 * How many rows are gathered before they are sorted: about 50 MiB in memory. With a million rows in the table, each
 * page gets some ten of the gathered rows.
 */
const GATHERED_MAX = 262_144;
/** How many sorted rows are written for each new row, so that all are written long before the next sort. */
const WRITTEN_PER_ROW = 4;

/** Where content starts: at block `physical` of `blob`. */
export interface ContentPlace {
  readonly blob: BlobId;
  readonly physical: BlockIndex;
}

export interface QueuedContent {
  readonly hash: Buffer;
  readonly sizeBytes: number;
  readonly place: ContentPlace;
}

export class ContentQueue {
  private readonly gatheredMax: number;
  private readonly write: (content: QueuedContent) => void;
  private gathered = new Map<string, QueuedContent>();
  /** Content in the order of its keys. The rows of content before index `next` are written. */
  private sorted: QueuedContent[] = [];
  private next = 0;
  /** The content in `sorted` by key. Includes content whose rows are written, because they may not be durable yet. */
  private leaving = new Map<string, QueuedContent>();

  /** The queue calls `write` once for each content. */
  constructor(write: (content: QueuedContent) => void, gatheredMax = GATHERED_MAX) {
    this.write = write;
    this.gatheredMax = gatheredMax;
  }

  find(hash: Buffer, sizeBytes: number): ContentPlace | undefined {
    const key = keyOf(hash, sizeBytes);
    return (this.gathered.get(key) ?? this.leaving.get(key))?.place;
  }

  add(content: QueuedContent): void {
    this.gathered.set(keyOf(content.hash, content.sizeBytes), content);
    this.writeSome(WRITTEN_PER_ROW);
    if (this.gathered.size >= this.gatheredMax) this.sort();
  }

  /** Writes up to `count` more rows. Returns true while rows are left to write. */
  drain(count: number): boolean {
    if (this.next === this.sorted.length && this.gathered.size > 0) this.sort();
    this.writeSome(count);
    return this.next < this.sorted.length || this.gathered.size > 0;
  }

  private sort(): void {
    this.writeSome(this.sorted.length);
    this.leaving = this.gathered;
    this.gathered = new Map();
    this.sorted = [...this.leaving.values()].sort(byKey);
    this.next = 0;
  }

  private writeSome(count: number): void {
    const end = Math.min(this.next + count, this.sorted.length);
    while (this.next < end) this.write(this.sorted[this.next++]!);
  }
}

function keyOf(hash: Buffer, sizeBytes: number): string {
  return `${hash.toString('latin1')}${sizeBytes}`;
}

/** The order of the table's keys: by hash, then by size. */
function byKey(one: QueuedContent, other: QueuedContent): number {
  return one.hash.compare(other.hash) || one.sizeBytes - other.sizeBytes;
}
