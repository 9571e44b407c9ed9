/** The bytes of an archive as a stream; gzip is decompressed. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { codeOfErrno, FsError } from '../base/index.ts';

/** Compressions that are refused, by their magic bytes, and the program that decompresses each. */
const FOREIGN: readonly (readonly [name: string, magic: Buffer, program: string])[] = [
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 'zstd -d'],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), 'xz -d'],
  ['bzip2', Buffer.from('BZh'), 'bzip2 -d'],
];
const GZIP = Buffer.from([0x1f, 0x8b]);
const CHUNK_BYTES = 256 * 1024;

export class ByteStream {
  /** The archive's path, for messages. */
  readonly path: string;
  /** Bytes read so far. */
  position = 0;
  /** Called before each chunk is read; an error that it throws ends the reading. */
  beforeChunk: () => void = () => undefined;
  private readonly chunks: AsyncIterator<Buffer>;
  private chunk: Buffer = Buffer.alloc(0);
  private at = 0;

  constructor(path: string, chunks: AsyncIterator<Buffer>) {
    this.path = path;
    this.chunks = chunks;
  }

  /** Opens an archive. EINVAL for a compression that is not supported; errors of the host. */
  static async open(path: string): Promise<ByteStream> {
    const plain = new ByteStream(
      path,
      createReadStream(path, { highWaterMark: CHUNK_BYTES })[Symbol.asyncIterator](),
    );
    await plain.fill();
    for (const [name, magic, program] of FOREIGN) {
      if (!plain.chunk.subarray(0, magic.length).equals(magic)) continue;
      await plain.close();
      const note = `it is compressed with ${name}: \`${program}\` makes a tar of it that can be read`;
      throw new FsError('EINVAL', { syscall: 'import', path, note });
    }
    if (!plain.chunk.subarray(0, GZIP.length).equals(GZIP)) return plain;
    await plain.close();
    const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
    // Errors of either stream reach the reader of `gunzip`.
    pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), gunzip, () => undefined);
    return new ByteStream(path, gunzip[Symbol.asyncIterator]());
  }

  /** Reads `length` bytes into `target`. Returns their count, which is less only where the archive ends. */
  async read(target: Buffer, length: number): Promise<number> {
    return await this.advance(length, target);
  }

  /** Skips `length` bytes. Returns their count, which is less only where the archive ends. */
  async skip(length: number): Promise<number> {
    return await this.advance(length);
  }

  private async advance(length: number, target?: Buffer): Promise<number> {
    let done = 0;
    while (done < length) {
      if (this.at === this.chunk.length && !(await this.fill())) break;
      const count = Math.min(length - done, this.chunk.length - this.at);
      if (target !== undefined) this.chunk.copy(target, done, this.at, this.at + count);
      this.at += count;
      done += count;
    }
    this.position += done;
    return done;
  }

  private async fill(): Promise<boolean> {
    try {
      do {
        this.beforeChunk();
        const next = await this.chunks.next();
        if (next.done === true) return false;
        this.chunk = next.value;
        this.at = 0;
      } while (this.chunk.length === 0);
      return true;
    } catch (error) {
      throw this.failure(error);
    }
  }

  private failure(error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code?.startsWith('Z_') === true) return this.damage(error.message);
    if (errno === undefined) return error;
    return new FsError(codeOfErrno(Math.abs(errno)), { syscall: 'read', path: this.path });
  }

  /** The error for damaged bytes. */
  damage(problem: string): FsError {
    const note = `the archive is damaged, at byte ${this.position}: ${problem}; fetch it again`;
    return new FsError('EINVAL', { syscall: 'import', path: this.path, note });
  }

  async close(): Promise<void> {
    await this.chunks.return?.();
  }
}
