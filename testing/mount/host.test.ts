/** Proves that the cases of mounts are right: each holds on a plain directory of the host. */
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { directoryOnDisk } from '../../src/demo/index.ts';
import { whyNoLibc } from '../host/libc.ts';
import { mountsOverlays } from './overlays.ts';
import { fillCases, runMountCases } from './run.ts';
import { leavesWhiteouts } from './whiteouts.ts';

/** Whether no filesystem of this machine is mounted with noatime; not only that of the temporary directory counts. */
function isAtimeKept(): boolean {
  const text = readFileSync('/proc/self/mounts', 'utf8');
  return !/^\S+ \S+ (?:ext4|xfs|btrfs|overlay|tmpfs) \S*\bnoatime\b/m.test(text);
}

const skip = whyNoLibc();

describe('cases of mounts on the host', { skip }, () => {
  const root = realpathSync(mkdtempSync(join(directoryOnDisk(), 'ramet-mount-cases-')));
  before(() => fillCases(root));
  after(() => rmSync(root, { recursive: true, force: true }));

  const features = {
    root: process.getuid?.() === 0,
    writersBesideReaders: true,
    relatime: skip === false && isAtimeKept(),
    whiteouts: skip === false && leavesWhiteouts(root),
    overlays: skip === false && mountsOverlays(root),
  };
  runMountCases({ name: 'a directory of the host', features, root: () => root });
});
