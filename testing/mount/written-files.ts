/** A few files that are changed at random, and digests of the contents that they must have. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../../src/base/index.ts';

const FILES = 8;
const BYTES_MAX = 9000;

/** Digests of contents by name. */
export type Digests = Readonly<Record<string, string>>;

/** A write that was under way: some of its bytes may have arrived. Contents are base64. */
export interface AttemptedWrite {
  readonly name: string;
  /** Undefined if the write makes the file. */
  readonly before?: string;
  readonly after: string;
}

/** The content that a directory must have: with all acknowledged changes, or with the attempted change as well. */
export interface WrittenReport {
  readonly directory: string;
  readonly acknowledged: Digests;
  readonly attempted: Digests;
  readonly write?: AttemptedWrite;
  readonly changes: number;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The present digests of the files of a directory. */
export function digestsOf(directory: string): Digests {
  const names = readdirSync(directory).sort();
  return Object.fromEntries(names.map((name) => [name, digest(readFileSync(join(directory, name)))]));
}

/** A change: the contents after it, and the call that makes it. */
interface Change {
  readonly after: ReadonlyMap<string, Buffer>;
  readonly make: () => void;
  /** The file whose bytes the change writes, if it writes any. */
  readonly writes?: string;
}

/** Whether a directory has all acknowledged changes, and any part of the change that was under way. */
export function isAsReported(report: WrittenReport): boolean {
  const found = JSON.stringify(digestsOf(report.directory));
  if (found === JSON.stringify(report.acknowledged) || found === JSON.stringify(report.attempted))
    return true;
  const { write, directory } = report;
  if (write === undefined) return false;
  const { [write.name]: _written, ...others } = digestsOf(directory);
  const { [write.name]: _before, ...othersBefore } = report.acknowledged;
  return JSON.stringify(others) === JSON.stringify(othersBefore) && isPartOf(write, directory);
}

/** Whether each byte of the file is the old or the new one. */
function isPartOf({ name, before = '', after }: AttemptedWrite, directory: string): boolean {
  const [old, made] = [Buffer.from(before, 'base64'), Buffer.from(after, 'base64')];
  const found = readFileSync(join(directory, name));
  if (found.length < old.length || found.length > made.length) return false;
  return found.every((byte, index) => byte === old[index] || byte === made[index]);
}

export class WrittenFiles {
  private readonly directory: string;
  private readonly random: SeededRandom;
  private contents: ReadonlyMap<string, Buffer> = new Map();
  private attempted: ReadonlyMap<string, Buffer> = new Map();
  private write: string | undefined;
  private changes = 0;

  /** `directory` must be empty. */
  constructor(directory: string, seed: number) {
    this.directory = directory;
    this.random = new SeededRandom(seed);
  }

  /** Makes one change. When it throws, the change counts as attempted, not as acknowledged. */
  change(): void {
    const { after, make, writes } = this.choose();
    this.attempted = after;
    this.write = writes;
    make();
    this.contents = after;
    this.changes++;
  }

  report(): WrittenReport {
    const { directory, changes, contents, attempted, write: name } = this;
    const report = { directory, changes, acknowledged: named(contents), attempted: named(attempted) };
    if (name === undefined) return report;
    const before = contents.get(name)?.toString('base64');
    const after = attempted.get(name)!.toString('base64');
    return { ...report, write: { name, after, ...(before === undefined ? {} : { before }) } };
  }

  private choose(): Change {
    const name = `file-${this.random.below(FILES)}`;
    const path = join(this.directory, name);
    const before = this.contents.get(name);
    const bytes = Buffer.alloc(1 + this.random.below(BYTES_MAX), 1 + this.random.below(255));
    if (before === undefined)
      return this.writing(name, bytes, () => writeFileSync(path, bytes, { flag: 'wx' }));
    switch (this.random.below(6)) {
      case 0:
        return this.overwrite(name, before, bytes);
      case 1: {
        const length = this.random.below(before.length + BYTES_MAX);
        const after = Buffer.alloc(length);
        before.copy(after);
        return this.to(name, after, () => truncateSync(path, length));
      }
      case 2:
        return this.to(name, undefined, () => unlinkSync(path));
      case 3:
        return this.rename(name, before, `file-${this.random.below(FILES)}`);
      default:
        return this.writing(name, Buffer.concat([before, bytes]), () => appendFileSync(path, bytes));
    }
  }

  private overwrite(name: string, before: Buffer, bytes: Buffer): Change {
    const at = this.random.below(before.length + 1);
    const after = Buffer.alloc(Math.max(before.length, at + bytes.length));
    before.copy(after);
    bytes.copy(after, at);
    return this.writing(name, after, () => {
      const fd = openSync(join(this.directory, name), 'r+');
      try {
        // The kernel may pass on a write in parts. If the server dies in between, the count is short.
        for (let done = 0; done < bytes.length; )
          done += writeSync(fd, bytes, done, bytes.length - done, at + done);
      } finally {
        closeSync(fd);
      }
    });
  }

  private rename(from: string, content: Buffer, to: string): Change {
    const after = new Map(this.contents);
    after.delete(from);
    after.set(to, content);
    return { after, make: () => renameSync(join(this.directory, from), join(this.directory, to)) };
  }

  private writing(name: string, content: Buffer, make: () => void): Change {
    return { ...this.to(name, content, make), writes: name };
  }

  private to(name: string, content: Buffer | undefined, make: () => void): Change {
    const after = new Map(this.contents);
    if (content === undefined) after.delete(name);
    else after.set(name, content);
    return { after, make };
  }
}

function named(contents: ReadonlyMap<string, Buffer>): Digests {
  const names = [...contents.keys()].sort();
  return Object.fromEntries(names.map((name) => [name, digest(contents.get(name)!)]));
}
