/** The host as a subject: node:fs in a temporary directory. It shows that the cases expect what Linux does. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { SubjectFactory } from './run.ts';
import type { FsLike, FsSubject, SubjectFeatures } from './subject.ts';

const isRoot = process.geteuid?.() === 0;

export const hostFeatures: SubjectFeatures = {
  root: isRoot,
  unprivileged: !isRoot,
  sparseBlocks: true,
  nanosecondTimes: true,
  clockMoves: true,
};

/** node:fs, or something that wraps it, over the host. */
export function hostFactory(name = 'node:fs', api: FsLike = fs): SubjectFactory {
  return {
    name,
    features: hostFeatures,
    create(): FsSubject {
      const parent = fs.realpathSync(os.tmpdir());
      const root = fs.mkdtempSync(path.join(parent, 'ramet-conformance-'));
      return { name, fs: api, root, isHost: true, umask: process.umask(), features: hostFeatures };
    },
    dispose(subject: FsSubject): void {
      fs.rmSync(subject.root, { recursive: true, force: true });
    },
  };
}
