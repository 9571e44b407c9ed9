/** `ramet run`: runs a command in a fork, at the path that the fork's tree was imported from. */
import { statSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { IoMode } from '../../fuse/index.ts';
import { holdHere, OwnerClient, ownMountPath } from '../../owner/index.ts';
import { type TreeInfo, uppermostOf } from '../../store/index.ts';
import { examples, seconds } from '../command-line.ts';
import { printable } from '../output.ts';
import { runPrivately } from '../private-run.ts';
import { reportProblem, usageError } from '../problem.ts';
import { namedTreeError, withSession } from '../session.ts';
import { ioOption, noAtimeOption } from './mount.ts';
import { stillUsed } from './umount.ts';

interface RunFlags {
  readonly at?: string;
  readonly io?: IoMode;
  readonly noatime?: boolean;
  readonly timeout?: number;
}

export function register(program: Command): void {
  program
    .command('run')
    .description('run a command in a fork: it and its children see the fork where the tree was imported from')
    .argument('<tree>', 'the fork or snapshot')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--at <directory>', 'where the command sees the tree (else where it was imported from)')
    .addOption(ioOption())
    .addOption(noAtimeOption())
    .option(
      '--timeout <seconds>',
      'end the command after this time: SIGTERM, 5 s later SIGKILL; exit code 124',
      seconds,
    )
    .addHelpText(
      'after',
      examples('ramet run try-1 -- npm test', 'ramet run try-1 --at /srv/app -- sh -c "make && ./test"'),
    )
    .action(async (tree: string, words: string[], flags: RunFlags, command: Command) => {
      let run = { store: '', at: '', isJson: false };
      await withSession(command, (session) => {
        const { engine, directory, isJson } = session;
        session.info(tree);
        run = { store: directory, at: placeOf(tree, engine.list(), flags.at), isJson };
      });
      process.exitCode = await runIn(tree, run, words, flags);
    });
}

interface RunPlace {
  readonly store: string;
  readonly at: string;
  readonly isJson: boolean;
}

/** The owner keeps the tree mounted until the connection ends, which happens even if this process is killed. */
async function runIn(
  tree: string,
  { store, at, isJson }: RunPlace,
  command: readonly string[],
  { io, noatime: noAtime, timeout }: RunFlags,
): Promise<number> {
  const owner = await OwnerClient.connectOrStart(store);
  try {
    const { directory } = await holdHere(owner, { fork: tree, io, noAtime }).catch((error: unknown) => {
      throw namedTreeError(tree, error);
    });
    const timeoutMs = timeout === undefined ? undefined : timeout * 1000;
    const { code, left } = await runPrivately({
      source: directory,
      at,
      realAt: ownMountPath(at),
      command,
      timeoutMs,
    });
    if (left.length > 0) {
      process.stderr.write(
        `note: what the command left running ended with it: ${left.map(printable).join(', ')}\n`,
      );
    }
    try {
      await release(owner, tree);
    } catch (error) {
      // The mount was gone. If the command exited with 0, it may not have noticed that, so fail. Any other exit code of
      // the command says more than an exit code of `ramet run` would.
      if (code === 0) throw error;
      reportProblem(error, isJson);
    }
    return code;
  } finally {
    owner.close();
  }
}

/** Unmounts the tree, so that the next command finds it free. ENOTCONN if the owner has ended. */
async function release(owner: OwnerClient, tree: string): Promise<void> {
  const { report } = await owner.request('release', { fork: tree });
  if (report?.isStillUsed === true) {
    process.stderr.write(`note: '${tree}' is not free yet, ${stillUsed(report.users)}\n`);
  }
}

function placeOf(tree: string, trees: readonly TreeInfo[], given: string | undefined): string {
  const at = given === undefined ? importedFrom(tree, trees) : path.resolve(given);
  const hint = `name a directory: \`ramet run ${tree} --at DIR -- …\``;
  if (at === undefined) throw usageError(`where '${tree}' was imported from is not known (any more)`, hint);
  if (!isDirectory(at)) {
    const what = given === undefined ? `'${tree}' was imported from '${at}', which is` : `'${at}' is`;
    throw usageError(`${what} no directory here`, hint);
  }
  if (at === '/') throw usageError('a tree cannot take the place of the whole host', hint);
  return at;
}

/**
 * The directory that the tree, or the tree it was forked from, was imported from. A later tree may have taken the name
 * of a dropped source, so only trees with a lower id than the fork's count.
 */
export function importedFrom(name: string, trees: readonly TreeInfo[]): string | undefined {
  let tree = trees.find((candidate) => candidate.name === name);
  while (tree !== undefined) {
    const { source, id } = tree;
    // The path of an import begins with a slash; a name never does. For a union, the uppermost lower counts.
    if (source.startsWith('/') && isDirectory(source)) return source;
    const first = uppermostOf(source);
    if (first.startsWith('/')) return first;
    tree = trees.find((candidate) => candidate.name === first && candidate.id < id);
  }
  return undefined;
}

function isDirectory(at: string): boolean {
  return statSync(at, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
