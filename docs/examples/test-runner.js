/**
 * A test runner whose every test gets a tree of its own.
 *
 * Eight worker processes share one store. Each test runs in a fresh fork of one snapshot: it may write what it likes, sees
 * nothing of the others, and is thrown away afterwards, or kept when the test failed. The files of the project
 * are in memory once, for all workers.
 *
 *     node docs/examples/test-runner.js [PROJECT] [TESTS] [WORKERS]
 */
import { fork as startWorker } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Store } from 'ramet';

const SELF = fileURLToPath(import.meta.url);
/** In this example every 250th test fails, and its tree is kept to be looked at. */
const FAILS_EVERY = 250;

/** What a test does: it works in a tree as in any directory, through an fs that passes as node:fs. */
function runTest(fs, number) {
  const files = fs
    .readdirSync('/', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile());
  const picked = files[number % files.length];
  const source = path.posix.join(picked.parentPath, picked.name);
  const before = fs.readFileSync(source);
  fs.mkdirSync('/output');
  fs.writeFileSync('/output/result.json', JSON.stringify({ number, source, bytes: before.length }));
  fs.appendFileSync(source, `\n// changed by test ${number}\n`);
  fs.renameSync(source, `${source}.changed`);
  const isolated = fs.readdirSync('/output').length === 1 && !fs.existsSync(source);
  const changed = fs.readFileSync(`${source}.changed`);
  if (!isolated || !changed.subarray(0, before.length).equals(before))
    throw new Error(`test ${number} is not alone`);
  return number % FAILS_EVERY !== FAILS_EVERY - 1;
}

/** A worker: asks for a test, runs it in a fork of its own, tells the result, until there are no more. */
async function work(storeDirectory) {
  const store = await Store.open(storeDirectory, { create: false });
  const project = await store.snapshot('project');
  process.on('message', async (number) => {
    if (number === null) {
      await store.close();
      process.disconnect();
      return;
    }
    const started = performance.now();
    const fork = await project.fork(`test-${number}`);
    const forkMs = performance.now() - started;
    const passed = runTest(fork.fs, number);
    await fork.close();
    if (passed) await store.drop(`test-${number}`);
    process.send({ number, passed, forkMs });
  });
  process.send({ ready: true });
}

/** Gives each worker its next test as soon as it is done with the last. Resolves to all results. */
function runAll(storeDirectory, tests, workers) {
  const results = [];
  let next = 0;
  return new Promise((resolve, reject) => {
    let living = workers;
    for (let count = 0; count < workers; count++) {
      const worker = startWorker(SELF, ['--worker', storeDirectory]);
      worker.on('message', (result) => {
        if (!result.ready) results.push(result);
        worker.send(next < tests ? next++ : null);
      });
      worker.on('error', reject);
      worker.on('exit', (code) => {
        if (code !== 0) reject(new Error(`a worker ended with ${code}`));
        else if (--living === 0) resolve(results);
      });
    }
  });
}

async function main(projectDirectory, tests, workers) {
  const directory = mkdtempSync(path.join(tmpdir(), 'test-runner-'));
  const storeDirectory = path.join(directory, 'store');
  try {
    const store = await Store.open(storeDirectory);
    await store.import(projectDirectory, { name: 'project' });
    await store.close();
    const started = performance.now();
    const results = await runAll(storeDirectory, tests, workers);
    const seconds = (performance.now() - started) / 1000;
    const times = results.map(({ forkMs }) => forkMs).sort((a, b) => a - b);
    const failed = results.filter(({ passed }) => !passed);
    const after = await Store.open(storeDirectory);
    const kept = (await after.list()).filter(({ kind }) => kind === 'fork').map(({ name }) => name);
    await after.close();
    return {
      tests: results.length,
      failed: failed.length,
      kept: kept.sort(),
      workers,
      seconds: Number(seconds.toFixed(2)),
      forkMsMedian: Number(times[Math.floor(times.length / 2)].toFixed(2)),
      forkMsP99: Number(times[Math.floor(times.length * 0.99)].toFixed(2)),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (process.argv[2] === '--worker') await work(process.argv[3]);
else {
  const [project = path.dirname(path.dirname(SELF)), tests = '1000', workers = '8'] = process.argv.slice(2);
  const result = await main(project, Number(tests), Number(workers));
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
}
