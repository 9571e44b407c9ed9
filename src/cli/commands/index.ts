/**
 * All commands, in the order in which `ramet --help` lists them. The program loads only the command that it runs,
 * because to load all of them takes longer than most commands run.
 */
import type { Command } from 'commander';

interface CommandModule {
  register(program: Command): void;
}

export const COMMANDS: ReadonlyMap<string, () => Promise<CommandModule>> = new Map([
  ['init', () => import('./init.ts')],
  ['import', () => import('./import.ts')],
  ['fork', () => import('./fork.ts')],
  ['snapshot', () => import('./snapshot.ts')],
  ['ls', () => import('./ls.ts')],
  ['cat', () => import('./cat.ts')],
  ['cp', () => import('./cp.ts')],
  ['rm', () => import('./rm.ts')],
  ['diff', () => import('./diff.ts')],
  ['commit', () => import('./commit.ts')],
  ['merge', () => import('./merge.ts')],
  ['rollback', () => import('./rollback.ts')],
  ['export', () => import('./export.ts')],
  ['run', () => import('./run.ts')],
  ['mount', () => import('./mount.ts')],
  ['umount', () => import('./umount.ts')],
  ['drop', () => import('./drop.ts')],
  ['stat', () => import('./stat.ts')],
  ['du', () => import('./du.ts')],
  ['pages', () => import('./pages.ts')],
  ['dedupe', () => import('./dedupe.ts')],
  ['gc', () => import('./gc.ts')],
  ['fsck', () => import('./fsck.ts')],
  ['owner', () => import('./owner.ts')],
  ['demo', () => import('./demo.ts')],
]);
