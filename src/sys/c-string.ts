/** A buffer that holds one C string at a time: its bytes and the terminating zero. */
import { FsError } from '../base/index.ts';

export class CString {
  readonly bytes: Buffer;
  private readonly tooLong: 'ENAMETOOLONG' | 'ERANGE';

  constructor(capacityBytes: number, tooLong: 'ENAMETOOLONG' | 'ERANGE') {
    this.bytes = Buffer.alloc(capacityBytes);
    this.tooLong = tooLong;
  }

  set(value: Buffer, syscall: string): Buffer {
    const path = value.toString('utf8');
    if (value.includes(0)) throw new FsError('EINVAL', { syscall, path, note: 'a path holds no zero byte' });
    if (value.length >= this.bytes.length) throw new FsError(this.tooLong, { syscall, path });
    value.copy(this.bytes);
    this.bytes[value.length] = 0;
    return this.bytes;
  }
}
