/**
 * Files that a version control system keeps for itself. They are texts in part (`.git/refs/heads/main`, `.git/config`),
 * but a program reads them, and one with conflict markers in it is a repository that is broken.
 */
import { isDirectoryMode } from '../base/index.ts';
import type { TreeFiles } from '../vfs/index.ts';

/**
 * What such a directory is called: of git, Mercurial, Subversion, Jujutsu and Bazaar. In a worktree or a submodule
 * `.git` is a file that names the directory, which lies in another `.git` or looks like a repository itself.
 */
const OWN_NAMES: ReadonlySet<string> = new Set(['.git', '.hg', '.svn', '.jj', '.bzr']);

/** Whether a path is of a repository, as one of these trees has it: in such a directory, or in a repository of git. */
export function isOfRepository(trees: readonly TreeFiles[], path: string): boolean {
  const names = path.split('/').slice(1);
  if (names.some((name) => OWN_NAMES.has(name))) return true;
  return names.some((_name, depth) => {
    const directory = names.slice(0, depth).join('/');
    return trees.some((files) => isGitDirectory(files, directory === '' ? '' : `/${directory}`));
  });
}

/** As is_git_directory in git's setup.c: what has another name than `.git` is bare, or has its work tree elsewhere. */
function isGitDirectory(files: TreeFiles, directory: string): boolean {
  const isDirectory = (name: string): boolean | undefined => {
    const stat = files.tryStat(`${directory}/${name}`, false);
    return stat === undefined ? undefined : isDirectoryMode(stat.mode);
  };
  return isDirectory('HEAD') === false && isDirectory('objects') === true && isDirectory('refs') === true;
}
