/**
 * Is a file of an overlay one file? The question of a discussion on linux-mm (2016) that overlayfs answers with no:
 *
 *     fr = open("foo", O_RDONLY)      // foo lies in the read-only lower layer
 *     map = mmap(fr)                  // a mapping made before the copy-up
 *     fw = open("foo", O_RDWR)        // copy-up
 *     write(fw, "new")
 *     read(fr), map, a new mapping of fr, fstat(fr)     // do they see it?
 *
 * Asks it of kernel overlayfs and of a fork that Ramet mounts over the same directory. Needs root, since overlayfs does.
 *
 *     node docs/examples/one-file.js
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Store } from 'ramet';

const SELF = fileURLToPath(import.meta.url);
const OLD = 'old bytes';
const NEW = 'new bytes';
const PROT_READ = 1;
const MAP_SHARED = 1;

/** Asks the question in a directory, and prints the answers as JSON. Runs in a process of its own. */
function probe(file) {
  const koffi = createRequire(import.meta.url)('koffi');
  const libc = koffi.load('libc.so.6');
  const mmap = libc.func('intptr_t mmap(intptr_t, size_t, int, int, int, int64_t)');
  const map = (fd) =>
    new Uint8Array(koffi.view(mmap(0, OLD.length, PROT_READ, MAP_SHARED, fd, 0), OLD.length));
  const text = (bytes) => Buffer.from(bytes).toString();

  const fr = openSync(file, 'r');
  const oldMapping = map(fr);
  text(oldMapping); // The page is in memory from here on.
  const fw = openSync(file, 'r+');
  writeSync(fw, NEW, 0);

  const read = Buffer.alloc(OLD.length);
  readSync(fr, read, 0, read.length, 0);
  const answers = {
    'read(fr)': text(read) === NEW,
    'mapping of fr made before': text(oldMapping) === NEW,
    'new mapping of fr': text(map(fr)) === NEW,
    'fr and fw are one inode': fstatSync(fr).ino === fstatSync(fw).ino,
  };
  closeSync(fw);
  process.stdout.write(JSON.stringify(answers));
}

function ask(directory) {
  return JSON.parse(
    execFileSync(process.execPath, [SELF, '--probe', path.join(directory, 'foo')], { encoding: 'utf8' }),
  );
}

function askOverlayfs(lower, scratch) {
  const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => path.join(scratch, name));
  for (const directory of [upper, work, merged]) mkdirSync(directory);
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, merged]);
  try {
    return ask(merged);
  } finally {
    execFileSync('umount', [merged]);
  }
}

async function askRamet(lower, scratch) {
  const mountPoint = path.join(scratch, 'fork');
  mkdirSync(mountPoint);
  const store = await Store.open(path.join(scratch, 'store'));
  const fork = await store.createFork({ name: 'fork', lowers: [lower] });
  const mount = await fork.mount(mountPoint);
  try {
    return ask(mountPoint);
  } finally {
    await mount.unmount();
    await fork.close();
    await store.close();
  }
}

function table(overlayfs, ramet) {
  const say = (sees) => (sees ? 'yes' : 'NO').padEnd(10);
  const lines = Object.keys(ramet).map(
    (what) => `${what.padEnd(28)}${say(overlayfs[what])}${say(ramet[what])}`,
  );
  return [`${'after write(fw), seen by'.padEnd(28)}overlayfs Ramet`, ...lines, ''].join('\n');
}

async function main() {
  const scratch = mkdtempSync(path.join(tmpdir(), 'ramet-one-file-'));
  try {
    const lower = path.join(scratch, 'lower');
    mkdirSync(lower);
    writeFileSync(path.join(lower, 'foo'), OLD);
    const overlayfs = askOverlayfs(lower, scratch);
    const ramet = await askRamet(lower, scratch);
    process.stdout.write(table(overlayfs, ramet));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--probe') probe(process.argv[3]);
else await main();
