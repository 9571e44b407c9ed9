/** Cuts a stream of bytes into lines of bounded length. */

const NEWLINE = 0x0a;

export class LineReader {
  private readonly bytesMax: number;
  private pieces: Buffer[] = [];
  private length = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /**
   * Takes the next bytes of the stream, and returns the lines that are complete now, without newlines. Undefined when a
   * line has more than `bytesMax` bytes; do not call the reader again then.
   */
  add(bytes: Buffer): string[] | undefined {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      const piece = bytes.subarray(start, end === -1 ? bytes.length : end);
      this.length += piece.length;
      if (this.length > this.bytesMax) return undefined;
      this.pieces.push(piece);
      if (end === -1) return lines;
      lines.push(Buffer.concat(this.pieces).toString('utf8'));
      this.pieces = [];
      this.length = 0;
      start = end + 1;
    }
  }
}
