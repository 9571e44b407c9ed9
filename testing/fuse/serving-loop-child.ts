/**
 * A process whose main thread waits in a `ServingLoop` that serves a pipe. The argument names a trial, one of `tries`:
 * how the process's own events fare in that loop. Prints the result as one line of JSON and ends.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServingLoop } from '../../src/fuse/serving-loop.ts';
import { createKernel } from '../../src/sys/index.ts';

const kernel = createKernel();
if (kernel instanceof Error) throw kernel;
const directory = mkdtempSync(join(tmpdir(), 'ramet-loop-test-'));
const fifo = join(directory, 'fifo');
execFileSync('mkfifo', [fifo]);
const device = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
let servedBytes = 0;
let rests = 0;
let restsWanted = 0;
let onServed: () => void = () => undefined;
const served = {
  serve() {
    servedBytes += readSync(device, Buffer.alloc(4096));
    restsWanted = 3;
    onServed();
  },
  rest() {
    if (restsWanted === 0) return false;
    restsWanted--;
    rests++;
    return true;
  },
};
// The loop must not use TMPDIR, which may lie on a mount that does not answer.
process.env.TMPDIR = '/nowhere';
const loop = new ServingLoop(kernel);
await loop.prepare();
loop.add(device, served);

/** Waits until `isDone`, and looks every millisecond. */
async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await sleep(1);
}

/** The median, so that a busy machine may delay some of the trials. */
function medianOf(timesMs: number[]): number {
  return timesMs.sort((a, b) => a - b)[timesMs.length >> 1]!;
}

async function timers(): Promise<object> {
  const late: number[] = [];
  for (const wanted of [1, 10, 50, 120, 200, 300]) {
    const tries: number[] = [];
    for (let index = 0; index < 3; index++) {
      const start = performance.now();
      await sleep(wanted);
      tries.push(performance.now() - start - wanted);
    }
    late.push(medianOf(tries));
  }
  return { lateMs: Math.max(...late) };
}

async function sockets(): Promise<object> {
  const path = join(directory, 'socket');
  const server = createServer((socket) => socket.pipe(socket)).listen(path);
  let echoes = 0;
  const rounds: number[] = [];
  for (let index = 0; index < 20; index++) {
    const start = performance.now();
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).once('data', () => resolve());
      socket.write('hello');
    });
    rounds.push(performance.now() - start);
    echoes++;
    socket.destroy();
  }
  server.close();
  return { echoes, roundMs: medianOf(rounds) };
}

/** Reads that take some milliseconds each, so that the loop waits before they are done. */
async function pool(): Promise<object> {
  const file = await open(process.execPath);
  const buffer = Buffer.alloc(8 << 20);
  const took: number[] = [];
  let reads = 0;
  for (let index = 0; index < 20; index++) {
    const start = performance.now();
    reads += (await file.read(buffer, 0, buffer.length, 0)).bytesRead > 0 ? 1 : 0;
    took.push(performance.now() - start);
  }
  const readMs = medianOf(took);
  await file.close();
  return { reads, readMs };
}

/** Bytes in the device are served, although no other event happens. */
async function serving(): Promise<object> {
  const writer = openSync(fifo, constants.O_WRONLY);
  for (let index = 0; index < 100; index++) {
    const before = servedBytes;
    writeSync(writer, 'x');
    await until(() => servedBytes > before);
  }
  closeSync(writer);
  return { servedBytes };
}

/** If serving calls `giveTurn`, promises that it resolves are continued before the loop waits again. */
async function turns(): Promise<object> {
  const writer = openSync(fifo, constants.O_WRONLY);
  const late: number[] = [];
  for (let index = 0; index < 50; index++) {
    const goesOn = new Promise<number>((resolve) => {
      onServed = () => {
        const start = performance.now();
        loop.giveTurn();
        void Promise.resolve().then(() => resolve(performance.now() - start));
      };
    });
    writeSync(writer, 'x');
    late.push(await goesOn);
  }
  closeSync(writer);
  return { lateMs: medianOf(late) };
}

/** The loop calls `rest` until it returns false: serving prepares later requests there, piece by piece. */
async function resting(): Promise<object> {
  const writer = openSync(fifo, constants.O_WRONLY);
  writeSync(writer, 'x');
  await until(() => servedBytes > 0);
  await until(() => rests === 3);
  closeSync(writer);
  return { rests, restsWanted };
}

async function idle(): Promise<object> {
  await sleep(300);
  const before = process.cpuUsage();
  const waits = process.resourceUsage().voluntaryContextSwitches;
  const start = performance.now();
  await sleep(1000);
  const { user, system } = process.cpuUsage(before);
  return {
    share: (user + system) / 1000 / (performance.now() - start),
    waits: process.resourceUsage().voluntaryContextSwitches - waits,
  };
}

/** Waits for SIGTERM. */
async function signals(): Promise<object> {
  const signal = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  process.stdout.write('ready\n');
  await signal;
  return { signal: 'SIGTERM' };
}

/** Once the last device is removed, nothing keeps the process alive. */
async function ending(): Promise<object> {
  return { servedBytes };
}

const tries: Readonly<Record<string, () => Promise<object>>> = {
  timers,
  sockets,
  pool,
  serving,
  turns,
  resting,
  idle,
  signals,
  ending,
};
const result = await tries[process.argv[2]!]!();
process.stdout.write(`${JSON.stringify(result)}\n`);
loop.remove(device, served);
closeSync(device);
rmSync(directory, { recursive: true });
