/** Wakefulness keeps idle CPUs from sleeping while many requests come, and only then. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { HOLD_MS, Wakefulness } from './wakefulness.ts';

function scratchDevice(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-awake-'));
  context.after(() => rmSync(directory, { recursive: true }));
  return join(directory, 'device');
}

describe('keeping CPUs awake', () => {
  it('begins when many requests come in a short time, and ends soon after the last', (context) => {
    const device = scratchDevice(context);
    const awake = new Wakefulness(device);
    awake.note(1000, 31);
    assert.equal(awake.isHeld, false);
    awake.note(1009, 1);
    assert.equal(awake.isHeld, true);
    assert.deepEqual(readFileSync(device), Buffer.alloc(4), 'a latency of 0, as 32 bits');
    awake.note(1100, 1);
    awake.rest(1100 + HOLD_MS);
    assert.equal(awake.isHeld, true);
    awake.rest(1101 + HOLD_MS);
    assert.equal(awake.isHeld, false);
  });

  it('does not begin for requests that come one by one', (context) => {
    const awake = new Wakefulness(scratchDevice(context));
    for (let now = 0; now < 10_000; now++) awake.note(now, 1);
    assert.equal(awake.isHeld, false);
  });

  it('is skipped where the device cannot be opened', () => {
    const awake = new Wakefulness('/nowhere/device');
    awake.note(1, 100);
    awake.note(2, 100);
    assert.equal(awake.isHeld, false);
    awake.rest(1000);
    awake.release();
  });
});
