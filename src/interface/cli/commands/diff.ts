/** `ramet diff`: what differs between two trees, or between a fork and what it was made from. */
import type { Command } from 'commander';
import { nameToString } from '../../../base/index.ts';
import { type Change, diffTrees } from '../../../store/index.ts';
import { typeWord } from '../attributes.ts';
import { examples } from '../examples.ts';
import { printable, writeJson, writeLine } from '../output.ts';
import { CommandError } from '../problem.ts';
import { namedTreeError, namingTree, type Session, withSession } from '../session.ts';

const LETTERS = { added: 'A', removed: 'D', modified: 'M', renamed: 'R' } as const;
const DT_DIR = 4;

export function register(program: Command): void {
  program
    .command('diff')
    .description('show what differs between two trees (exit code 0 also when something does)')
    .argument('<a>', 'a fork or snapshot')
    .argument('[b]', 'another; without it, A is compared with the tree it was made from')
    .addHelpText('after', examples('ramet diff try-1', 'ramet diff try-1 try-2 --json'))
    .action((a: string, b: string | undefined, _flags: object, command: Command) =>
      withSession(command, async (session) => {
        const [before, after] = b === undefined ? [sourceOf(session, a), a] : [a, b];
        // Opened here, so that a fork that is in use for a moment is waited for.
        for (const name of [before, after]) await session.readTree(name);
        const changes = await compare(session, before, after);
        if (session.isJson) {
          await writeJson({ a: before, b: after, changes: changes.map(changeObject) });
          return;
        }
        for (const change of changes) {
          const parts = change.parts.length > 0 ? ` (${change.parts.join(', ')})` : '';
          const slash = change.type === DT_DIR && change.path !== '/' ? '/' : '';
          await writeLine(`${LETTERS[change.kind]} ${printable(nameToString(change.path))}${slash}${parts}`);
        }
      }),
    );
}

async function compare({ engine, mounted }: Session, before: string, after: string): Promise<Change[]> {
  try {
    const settled = await mounted.settle(new Set([before, after]));
    return diffTrees(engine, before, after, settled);
  } catch (error) {
    throw namedTreeError(before, namedTreeError(after, error));
  }
}

/** The tree that `name` was forked from or is a snapshot of. */
function sourceOf({ engine }: Session, name: string): string {
  const { source } = namingTree(name, () => engine.info(name));
  if (engine.list().some((tree) => tree.name === source)) return source;
  throw new CommandError(
    'ENOENT',
    source === ''
      ? `'${name}' was not made from another tree`
      : `'${name}' was made from '${source}', which is no tree of this store (any more)`,
    'name the tree to compare with: `ramet diff A B`',
  );
}

function changeObject(change: Change): Record<string, unknown> {
  return {
    path: nameToString(change.path),
    kind: change.kind,
    type: typeWord(change.type << 12),
    parts: change.parts,
    sizeBefore: change.sizeBefore ?? null,
    sizeAfter: change.sizeAfter ?? null,
  };
}
