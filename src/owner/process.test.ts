/** Real owner processes: how they are started, found, replaced and ended. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stopOwner } from '../../testing/owner/stop-owner.ts';
import { isRunning, until } from '../../testing/pace/until.ts';
import { isFsError, StoreError } from '../base/index.ts';
import { StoreEngine } from '../store/index.ts';
import { OwnerClient } from './client.ts';
import { readableLine } from './log-line.ts';
import { OwnerPlace } from './owner-place.ts';

process.env.RAMET_OWNER_IDLE_MS = '300';

/** A store; when the test ends, its owner process is stopped. */
function scratchStore(t: TestContext): string {
  const scratch = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  const directory = join(scratch, 'store');
  StoreEngine.initialize(directory);
  t.after(async () => {
    await stopOwner(directory);
    rmSync(scratch, { recursive: true, force: true });
  });
  return directory;
}

async function start(t: TestContext, directory: string): Promise<OwnerClient & { readonly pid: number }> {
  const client = await OwnerClient.connectOrStart(directory);
  t.after(() => client.close());
  assert.ok(client.pid !== undefined);
  // The cast: the line above asserts that there is a pid.
  return client as OwnerClient & { readonly pid: number };
}

function log(directory: string): string {
  return readFileSync(new OwnerPlace(directory).logPath, 'utf8');
}

test('ten clients that start the owner at once share one owner', async (t) => {
  const directory = scratchStore(t);
  const clients = await Promise.all(Array.from({ length: 10 }, () => start(t, directory)));
  assert.equal(new Set(clients.map(({ pid }) => pid)).size, 1);
  assert.notEqual(clients[0]!.pid, process.pid);
  assert.equal((await clients[0]!.request('status', {})).connections, 9);
});

test('an idle owner ends and leaves no socket', async (t) => {
  const directory = scratchStore(t);
  const client = await start(t, directory);
  client.close();
  await until(() => !isRunning(client.pid), 'the owner has ended');
  assert.ok(!existsSync(new OwnerPlace(directory).socketPath));
  assert.equal(await OwnerClient.connect(directory), undefined);
});

test('the socket of a killed owner is replaced, and clients that waited for an answer get an error', async (t) => {
  const directory = scratchStore(t);
  const client = await start(t, directory);
  process.kill(client.pid, 'SIGSTOP');
  const request = client.request('status', {});
  process.kill(client.pid, 'SIGKILL');
  await assert.rejects(request, (error) => {
    assert.ok(isFsError(error, 'ENOTCONN'), String(error));
    assert.match(error.note ?? '', new RegExp(`owner process \\(${client.pid}\\) ended before it answered`));
    return true;
  });
  assert.ok(existsSync(new OwnerPlace(directory).socketPath), 'a socket that nobody listens on');
  assert.equal(await OwnerClient.connect(directory), undefined);
  const next = await start(t, directory);
  assert.notEqual(next.pid, client.pid);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`${signal} ends the owner in order, and the next one begins`, async (t) => {
    const directory = scratchStore(t);
    const client = await start(t, directory);
    process.kill(client.pid, signal);
    await client.untilEnded();
    const next = await start(t, directory);
    assert.notEqual(next.pid, client.pid);
    const text = log(directory);
    assert.match(text, new RegExp(`"reason":"${signal}".*"msg":"stopping"`));
    assert.match(text, new RegExp(`"pid":${client.pid}.*"msg":"stopped"`));
  });
}

test('an owner that cannot start reports why, also in the log', async (t) => {
  const directory = scratchStore(t);
  writeFileSync(join(directory, 'VERSION'), 'ramet store 99\n');
  await assert.rejects(OwnerClient.connectOrStart(directory), (error) => {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.code, 'ERR_STORE_VERSION');
    assert.match(error.hint, /Export its trees/);
    return true;
  });
  const line = log(directory).trim().split('\n').at(-1)!;
  assert.match(readableLine(line), /^\d{4}-\d\d-\d\dT\S+ fatal the owner failed err=.*ramet store 99/);
});

test('an owner that ends without a report is ENOTCONN', async (t) => {
  const directory = scratchStore(t);
  // Node.js itself fails before any code of the owner runs.
  process.env.NODE_OPTIONS = '--require=./there-is-no-such-file';
  t.after(() => delete process.env.NODE_OPTIONS);
  await assert.rejects(OwnerClient.connectOrStart(directory), (error) => {
    assert.ok(isFsError(error, 'ENOTCONN'), String(error));
    assert.match(error.note ?? '', /ended before it was ready: see .*owner\.log/);
    return true;
  });
  assert.match(log(directory), /there-is-no-such-file/);
});

test('where there is no store there is no owner, and none is started', async (t) => {
  const directory = scratchStore(t);
  renameSync(directory, `${directory}-moved`);
  assert.equal(await OwnerClient.connect(directory), undefined);
  await assert.rejects(OwnerClient.connectOrStart(directory), /ENOENT/);
  renameSync(`${directory}-moved`, directory);
});

test('a mount that fails in the process fails in the client, and the process goes on', async (t) => {
  const directory = scratchStore(t);
  const client = await start(t, directory);
  await assert.rejects(
    client.request('mount', { fork: 'none', directory: '/nowhere' }),
    (error) => isFsError(error, 'ENOENT') && error.path === 'none',
  );
  assert.equal((await client.request('status', {})).pid, client.pid);
});
