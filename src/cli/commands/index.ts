/** All commands, in the order in which `ramet --help` lists them. */
import type { Command } from 'commander';
import { register as cat } from './cat.ts';
import { register as commit } from './commit.ts';
import { register as cp } from './cp.ts';
import { register as dedupe } from './dedupe.ts';
import { register as demo } from './demo.ts';
import { register as diff } from './diff.ts';
import { register as drop } from './drop.ts';
import { register as du } from './du.ts';
import { register as exportTree } from './export.ts';
import { register as fork } from './fork.ts';
import { register as fsck } from './fsck.ts';
import { register as gc } from './gc.ts';
import { register as importTree } from './import.ts';
import { register as init } from './init.ts';
import { register as ls } from './ls.ts';
import { register as merge } from './merge.ts';
import { register as mount } from './mount.ts';
import { register as owner } from './owner.ts';
import { register as pages } from './pages.ts';
import { register as rm } from './rm.ts';
import { register as rollback } from './rollback.ts';
import { register as run } from './run.ts';
import { register as snapshot } from './snapshot.ts';
import { register as stat } from './stat.ts';
import { register as umount } from './umount.ts';

export const COMMANDS: readonly ((program: Command) => void)[] = [
  init,
  importTree,
  fork,
  snapshot,
  ls,
  cat,
  cp,
  rm,
  diff,
  commit,
  merge,
  rollback,
  exportTree,
  run,
  mount,
  umount,
  drop,
  stat,
  du,
  pages,
  dedupe,
  gc,
  fsck,
  owner,
  demo,
];
