/** The tree that another was made from, for commands that compare with it. */
import { CommandError } from './problem.ts';
import { namingTree, type Session } from './session.ts';

/** ENOENT, with `hint`, where it is no tree of this store. */
export function sourceOf({ engine }: Session, name: string, hint: string): string {
  const { source } = namingTree(name, () => engine.info(name));
  if (engine.list().some((tree) => tree.name === source)) return source;
  const cause =
    source === ''
      ? `'${name}' was not made from another tree`
      : `'${name}' was made from '${source}', which is no tree of this store (any more)`;
  throw new CommandError('ENOENT', cause, hint);
}

/** EBUSY, with the way out, for what takes a fork that nobody uses. */
export async function requireUnmounted(session: Session, name: string, operation: string): Promise<void> {
  namingTree(name, () => session.engine.info(name));
  const mount = await session.mountOf(name);
  if (mount === undefined) return;
  const cause = `'${name}' is mounted at ${mount.directory}`;
  throw new CommandError('EBUSY', cause, `\`ramet umount ${name}\`, then ${operation}`);
}
