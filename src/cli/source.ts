/** The tree that another was made from, for commands that compare with it. */
import { CommandError } from './problem.ts';
import type { CommandSession } from './session.ts';

/** ENOENT, with `hint`, where it is no tree of this store. */
export function sourceOf(session: CommandSession, name: string, hint: string): string {
  const { source } = session.info(name);
  if (session.engine.list().some((tree) => tree.name === source)) return source;
  const cause =
    source === ''
      ? `'${name}' was not made from another tree`
      : `'${name}' was made from '${source}', which is no tree of this store (any more)`;
  throw new CommandError('ENOENT', cause, hint);
}
