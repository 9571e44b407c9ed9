/**
 * The client of the benchmark of mounts, in its own process: `node client.js '{…}'`. The program is the same
 * for every filesystem. It makes its system calls through libc; koffi adds about 0.2 µs to each.
 */
import { constants } from 'node:fs';
import { evictFiles, filesUnder } from '../../src/demo/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { allocateFixed, check, libc, pathBytes, systemError } from '../../testing/host/libc.ts';
import { contenderArgument } from '../measure/contender.ts';
import { sampleCalls, summarizeSingle } from '../measure/sampling.ts';
import {
  BEYOND_BYTES,
  type MountCall,
  type MountCallArgument,
  type MountCallResult,
  SMALL_BYTES,
  SMALL_FILES,
  WITHIN_BYTES,
} from './cases.ts';

const MIB = 2 ** 20;
const BLOCK = 4096;
const MODE = 0o644;
const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, O_DIRECTORY } = constants;
const AT_FDCWD = -100;
const STATX_BASIC_STATS = 0x7ff;
const PROT_READ = 1;
const MAP_SHARED = 1;
const MADV_POPULATE_READ = 22;
const COLD_ROUNDS = 3;

const { call, root, behind, sampling } = contenderArgument<MountCallArgument>();
const c = libc();
const buffer = allocateFixed(MIB);
buffer.fill('q');
const bufferAddress = c.addressOf(buffer);
const small = Array.from({ length: SMALL_FILES }, (_, index) => pathBytes(`${root}/small/file-${index}`));

function open(path: Buffer, flags: number): number {
  return check(c.open(path, flags, MODE), 'open');
}

function expectCount(count: number, wanted: number, what: string): void {
  if (count < 0) throw systemError(what);
  if (count !== wanted) throw new Error(`${what} moved ${count} bytes of ${wanted}`);
}

/** Block numbers in an order that no readahead foresees. */
function scattered(blocks: number): (index: number) => number {
  return (index) => ((index * 7_919 + 13) % blocks) * BLOCK;
}

function readInOrder(name: string, sizeBytes: number): (index: number) => void {
  const fd = open(pathBytes(`${root}/${name}`), O_RDONLY);
  const pieces = sizeBytes / MIB;
  return (index) => expectCount(c.pread(fd, bufferAddress, MIB, (index % pieces) * MIB), MIB, 'pread');
}

function readScattered(): (index: number) => void {
  const fd = open(pathBytes(`${root}/within`), O_RDONLY);
  const position = scattered(WITHIN_BYTES / BLOCK);
  return (index) => expectCount(c.pread(fd, bufferAddress, BLOCK, position(index)), BLOCK, 'pread');
}

/** One call maps the file and touches all of its pages. */
function mapWhole(): () => void {
  const fd = open(pathBytes(`${root}/within`), O_RDONLY);
  return () => {
    const address = check(c.mmap(0, WITHIN_BYTES, PROT_READ, MAP_SHARED, fd, 0), 'mmap');
    check(c.madvise(address, WITHIN_BYTES, MADV_POPULATE_READ), 'madvise');
    check(c.munmap(address, WITHIN_BYTES), 'munmap');
  };
}

function openReadClose(index: number): void {
  const fd = open(small[index % SMALL_FILES]!, O_RDONLY);
  expectCount(c.read(fd, bufferAddress, SMALL_BYTES), SMALL_BYTES, 'read');
  c.close(fd);
}

const statBuffer = allocateFixed(256);

function stat(index: number): void {
  check(c.statx(AT_FDCWD, small[index % SMALL_FILES]!, 0, STATX_BASIC_STATS, statBuffer), 'statx');
}

function statMissing(): () => void {
  const missing = pathBytes(`${root}/small/missing`);
  return () => {
    if (c.statx(AT_FDCWD, missing, 0, STATX_BASIC_STATS, statBuffer) === 0) throw new Error('it is there');
  };
}

function listDirectory(): () => void {
  const path = pathBytes(`${root}/small`);
  return () => {
    const fd = open(path, O_RDONLY | O_DIRECTORY);
    let names = 0;
    for (let length = c.getdents(fd, buffer, 32_768); length !== 0; length = c.getdents(fd, buffer, 32_768)) {
      check(length, 'getdents64');
      for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) names++;
    }
    c.close(fd);
    if (names !== SMALL_FILES + 2) throw new Error(`${names} names`);
  };
}

function createWriteUnlink(): () => void {
  const path = pathBytes(`${root}/small/new`);
  return () => {
    const fd = open(path, O_CREAT | O_EXCL | O_WRONLY);
    expectCount(c.pwrite(fd, bufferAddress, SMALL_BYTES, 0), SMALL_BYTES, 'pwrite');
    c.close(fd);
    check(c.unlink(path), 'unlink');
  };
}

/** Writes a new file of 256 MiB, again and again, one MiB a call. */
function writeInOrder(): (index: number) => void {
  const path = pathBytes(`${root}/written`);
  let fd = -1;
  return (index) => {
    const at = (index * MIB) % BEYOND_BYTES;
    if (fd < 0 || at === 0) {
      if (fd >= 0) c.close(fd);
      fd = open(path, O_CREAT | O_TRUNC | O_WRONLY);
    }
    expectCount(c.pwrite(fd, bufferAddress, MIB, at), MIB, 'pwrite');
  };
}

function writeScattered(): (index: number) => void {
  const sizeBytes = 64 * MIB;
  const fd = open(pathBytes(`${root}/overwritten`), O_CREAT | O_TRUNC | O_RDWR);
  for (let at = 0; at < sizeBytes; at += MIB)
    expectCount(c.pwrite(fd, bufferAddress, MIB, at), MIB, 'pwrite');
  const position = scattered(sizeBytes / BLOCK);
  return (index) => expectCount(c.pwrite(fd, bufferAddress, BLOCK, position(index)), BLOCK, 'pwrite');
}

function writeAndSync(): (index: number) => void {
  const fd = open(pathBytes(`${root}/synced`), O_CREAT | O_TRUNC | O_RDWR);
  return (index) => {
    expectCount(c.pwrite(fd, bufferAddress, BLOCK, (index % 256) * BLOCK), BLOCK, 'pwrite');
    check(c.fsync(fd), 'fsync');
  };
}

/** Times each call once in every round, which begins by dropping from memory the files of the mount and of `behind`. */
function sampleCold(seen: readonly string[], calls: number, one: (index: number) => void): MountCallResult {
  const system = createSystem();
  const samples: number[] = [];
  for (let round = 0; round < COLD_ROUNDS; round++) {
    evictFiles(system, seen);
    evictFiles(system, behind.flatMap(filesUnder));
    for (let index = 0; index < calls; index++) {
      const started = process.hrtime.bigint();
      one(index);
      samples.push(Number(process.hrtime.bigint() - started) / 1000);
    }
  }
  return summarizeSingle(samples);
}

/** Like `sampleCalls`, after a call for each file: short rounds would not reach all of them. */
function sampleWarm(files: number, one: (index: number) => void): MountCallResult {
  for (let index = 0; index < files; index++) one(index);
  return sampleCalls(one, sampling);
}

function measure(what: MountCall): MountCallResult {
  switch (what) {
    case 'sequential-read':
      return sampleWarm(WITHIN_BYTES / MIB, readInOrder('within', WITHIN_BYTES));
    case 'sequential-read-beyond':
      return sampleWarm(BEYOND_BYTES / MIB, readInOrder('beyond', BEYOND_BYTES));
    case 'sequential-read-cold':
      return sampleCold([`${root}/within`], WITHIN_BYTES / MIB, readInOrder('within', WITHIN_BYTES));
    case 'random-read':
      return sampleWarm(WITHIN_BYTES / BLOCK, readScattered());
    case 'map':
      return sampleCalls(mapWhole(), sampling);
    case 'open-read-close':
      return sampleWarm(SMALL_FILES, openReadClose);
    case 'open-read-close-cold':
      return sampleCold(filesUnder(`${root}/small`), SMALL_FILES, openReadClose);
    case 'stat':
      return sampleWarm(SMALL_FILES, stat);
    case 'stat-missing':
      return sampleCalls(statMissing(), sampling);
    case 'readdir':
      return sampleCalls(listDirectory(), sampling);
    case 'create-write-unlink':
      return sampleCalls(createWriteUnlink(), sampling);
    case 'sequential-write':
      return sampleCalls(writeInOrder(), sampling);
    case 'random-write':
      return sampleCalls(writeScattered(), sampling);
    case 'write-fsync':
      return sampleCalls(writeAndSync(), sampling);
  }
}

process.stdout.write(JSON.stringify(measure(call)));
