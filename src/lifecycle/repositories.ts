/**
 * Recognizes the files of version control systems. Some are text (`.git/refs/heads/main`, `.git/config`), but conflict
 * markers in them would break the repository.
 */
import { isDirectoryMode } from '../base/index.ts';
import type { TreeFiles } from '../vfs/index.ts';

/**
 * Directories of Git, Mercurial, Subversion, Jujutsu and Bazaar. In a worktree or a submodule `.git` is a file that
 * names the directory, which lies in another `.git` or is recognized as a repository itself.
 */
const OWN_NAMES: ReadonlySet<string> = new Set(['.git', '.hg', '.svn', '.jj', '.bzr']);

/** True if a path of these trees has one of `OWN_NAMES` in it, or lies in a bare Git repository. */
export function isOfRepository(trees: readonly TreeFiles[], path: string): boolean {
  const names = path.split('/').slice(1);
  if (names.some((name) => OWN_NAMES.has(name))) return true;
  return names.some((_name, depth) => {
    const directory = names.slice(0, depth).join('/');
    return trees.some((files) => isGitDirectory(files, directory === '' ? '' : `/${directory}`));
  });
}

/** Like is_git_directory in git's setup.c: finds repositories that are bare, or have their work tree elsewhere. */
function isGitDirectory(files: TreeFiles, directory: string): boolean {
  const isDirectory = (name: string): boolean | undefined => {
    const stat = files.tryStat(`${directory}/${name}`, false);
    return stat === undefined ? undefined : isDirectoryMode(stat.mode);
  };
  return isDirectory('HEAD') === false && isDirectory('objects') === true && isDirectory('refs') === true;
}
