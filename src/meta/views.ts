/** Views of the first bytes of a buffer, kept by length so that they cost no allocation. */
const KEPT_BYTES_MAX = 4096;

export class Views {
  private buffer: Buffer | undefined;
  private views: (Buffer | undefined)[] = [];

  of(buffer: Buffer, length: number): Buffer {
    if (length > KEPT_BYTES_MAX) return buffer.subarray(0, length);
    if (buffer !== this.buffer) {
      this.buffer = buffer;
      this.views = [];
    }
    let view = this.views[length];
    if (view === undefined) {
      view = buffer.subarray(0, length);
      this.views[length] = view;
    }
    return view;
  }
}
