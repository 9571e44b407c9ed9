/** Allocates space for files on hosts without fallocate(2), by writing the blocks. */
import { isFsError } from '../base/index.ts';
import { nameCalls } from './name-calls.ts';
import type { System } from './system.ts';

const CHUNK_BYTES = 1 << 20;
const STEP_BYTES = 4096;

type Needed = Pick<System, 'pread' | 'pwrite' | 'fileSize'>;

/**
 * Allocates space for every byte of the range and keeps the file's content. After the end of the file, writes zeros.
 * Inside the file, overwrites blocks of 4 KiB that read as zeros, since those may be holes. The file must have no other
 * writer meanwhile. If a write fails (ENOSPC), the file gets its old size back.
 */
export function allocateByWriting(files: Needed, fd: number, position: number, length: number): void {
  const sizeBytes = files.fileSize(fd).sizeBytes;
  const end = position + length;
  try {
    fillHoles(files, fd, position, Math.min(end, sizeBytes));
    writeZeros(files, fd, Math.max(position, sizeBytes), end);
  } catch (error) {
    if (isFsError(error) && end > sizeBytes) nameCalls.truncate(fd, sizeBytes);
    throw error;
  }
}

function writeZeros(files: Needed, fd: number, start: number, end: number): void {
  if (start >= end) return;
  const zeros = new Uint8Array(Math.min(CHUNK_BYTES, end - start));
  for (let at = start; at < end; at += CHUNK_BYTES)
    files.pwrite(fd, zeros, 0, Math.min(CHUNK_BYTES, end - at), at);
}

function fillHoles(files: Needed, fd: number, start: number, end: number): void {
  if (start >= end) return;
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, end - start));
  const zeros = Buffer.alloc(STEP_BYTES);
  for (let at = start; at < end; at += CHUNK_BYTES) {
    const count = files.pread(fd, chunk, 0, Math.min(CHUNK_BYTES, end - at), at);
    for (let from = 0; from < count; from += STEP_BYTES) {
      const step = Math.min(STEP_BYTES, count - from);
      if (chunk.compare(zeros, 0, step, from, from + step) === 0) files.pwrite(fd, zeros, 0, step, at + from);
    }
  }
}
