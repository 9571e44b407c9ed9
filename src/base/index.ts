/**
 * base: what every other room may use. Assertions, errors, branded numbers, ranges, runs, file modes, byte
 * codecs, clock, random.
 *
 * Invariants: no state, no I/O, no knowledge of the filesystem. Imports nothing of the project.
 */
export * from './assert.ts';
export * from './brand.ts';
export * from './checksum.ts';
export * from './clock.ts';
export * from './codec.ts';
export * from './errors.ts';
export * from './file-mode.ts';
export * from './names.ts';
export * from './random.ts';
export * from './ranges.ts';
export * from './run.ts';
export * from './waiting.ts';
