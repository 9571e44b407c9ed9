/** The tables of the benchmarks, and the sampling of calls. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sampleCalls, summarize, summarizeSingle } from './sampling.ts';
import {
  alignColumns,
  formatCell,
  formatSection,
  formatTail,
  formatValue,
  isMet,
  type Row,
  ratioOf,
  type Section,
} from './table.ts';

const ABSENT = { absentBecause: 'mkfs.xfs is not installed' };

function sectionOf(...rows: readonly Row[]): Section {
  return {
    title: 'Title',
    peers: ['host', 'other'],
    own: ['Ramet, depth 1', 'Ramet, depth 3'],
    rows,
    notes: ['A note.'],
  };
}

function rowOf(cells: Row['cells'], budget?: number): Row {
  return { what: 'a call', unit: 'µs', cells, ...(budget === undefined ? {} : { budget }) };
}

describe('values and cells', () => {
  it('show three significant digits', () => {
    const shown = [0.1234, 0.9996, 1.234, 9.996, 12.34, 99.96, 123.4, 999.6, 123_456].map(formatValue);
    assert.deepEqual(shown, ['0.123', '1.00', '1.23', '10.0', '12.3', '100', '123', '1,000', '123,456']);
  });

  it('show the spread, and the tail of single calls', () => {
    assert.equal(formatCell(summarize([3, 1, 2])), '2.00 (1.00–3.00)');
    assert.equal(formatCell(summarize([2])), '2.00');
    assert.equal(formatCell(summarizeSingle([1, 2, 9])), '2.00 (1.00–9.00)');
    assert.equal(formatTail(summarizeSingle([1, 2, 9])), '2.00 / 9.00');
    assert.equal(formatTail(summarize([1, 2, 9])), '');
    assert.equal(formatTail(ABSENT), '');
    assert.equal(formatCell(ABSENT), '–');
    assert.equal(formatCell(undefined), '');
  });
});

describe('ratio and budget', () => {
  const peers = { host: summarize([10]), other: summarize([20]) };

  it('compare the worst column of Ramet with the best peer', () => {
    const row = rowOf({ ...peers, 'Ramet, depth 1': summarize([2]), 'Ramet, depth 3': summarize([5]) }, 4);
    assert.equal(ratioOf(sectionOf(row), row), 0.5);
    assert.equal(isMet(sectionOf(row), row), false);
  });

  it('are met at the budget itself', () => {
    const row = rowOf({ 'Ramet, depth 1': summarize([4]) }, 4);
    assert.equal(isMet(sectionOf(row), row), true);
    assert.equal(ratioOf(sectionOf(row), row), undefined);
  });

  it('are undefined where nothing was measured or promised', () => {
    const absent = rowOf({ ...peers, 'Ramet, depth 1': ABSENT }, 4);
    assert.equal(isMet(sectionOf(absent), absent), undefined);
    assert.equal(ratioOf(sectionOf(absent), absent), undefined);
    const free = rowOf({ ...peers, 'Ramet, depth 1': summarize([1]) });
    assert.equal(isMet(sectionOf(free), free), undefined);
  });

  it('leave a peer out that was not measured', () => {
    const row = rowOf({ host: ABSENT, other: summarize([20]), 'Ramet, depth 1': summarize([5]) });
    assert.equal(ratioOf(sectionOf(row), row), 0.25);
  });

  it('have no ratio to a peer that took nothing', () => {
    const row = rowOf({ host: summarize([0]), other: summarize([20]), 'Ramet, depth 1': summarize([5]) }, 9);
    assert.equal(ratioOf(sectionOf(row), row), undefined);
    assert.equal(isMet(sectionOf(row), row), true);
  });
});

describe('a section', () => {
  it('is a table with the reason for each absence, once, and the notes', () => {
    const good = rowOf({ host: summarize([10]), other: ABSENT, 'Ramet, depth 1': summarize([1]) }, 2);
    const bad = rowOf(
      { host: summarizeSingle([10, 12]), other: ABSENT, 'Ramet, depth 3': summarize([20]) },
      2,
    );
    assert.equal(
      formatSection(sectionOf(good, bad)),
      [
        '## Title',
        '',
        'median (lowest–highest)              host  other  Ramet, depth 1  Ramet, depth 3   ratio  budget  met',
        'a call, µs                           10.0      –            1.00                  0.100×  ≤ 2.00  yes',
        'a call, µs               10.0 (10.0–12.0)      –                            20.0   2.00×  ≤ 2.00   NO',
        '',
        'single calls, p50 / p99         host  other  Ramet, depth 1  Ramet, depth 3',
        'a call, µs               10.0 / 12.0',
        '',
        '  –: other: mkfs.xfs is not installed',
        '  A note.',
      ].join('\n'),
    );
  });

  it('aligns lines of different lengths', () => {
    assert.deepEqual(
      alignColumns([
        ['a', 'bb'],
        ['ccc', 'd', 'e'],
      ]),
      ['a    bb', 'ccc   d  e'],
    );
  });
});

describe('sampling', () => {
  it('counts up and does as many rounds as it says', () => {
    const seen: number[] = [];
    const result = sampleCalls((index) => seen.push(index), { rounds: 4, roundMs: 1 });
    assert.equal(result.count, 4);
    assert.deepEqual(seen.slice(0, 5), [0, 1, 2, 3, 4]);
    assert.ok(seen.every((index, at) => index === at));
    assert.ok(result.low <= result.median && result.median <= result.high);
  });

  it('times long calls one by one', () => {
    const wait = (): void => {
      const end = performance.now() + 0.2;
      while (performance.now() < end);
    };
    const result = sampleCalls(wait, { rounds: 3, roundMs: 2 });
    assert.ok(result.median >= 200, `${result.median} µs`);
    assert.ok(result.p50 !== undefined && result.p50 >= 200);
    assert.ok(result.p99 !== undefined && result.p99 >= result.p50);
  });
});
