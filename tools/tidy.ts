/**
 * tidy: the house rules that the compiler and the linter cannot express. `tidy.test.ts` runs it over the
 * repository, so that `npm test` fails on the first untidy line; `npm run tidy` prints the findings alone.
 *
 * Every rule is a pure function from files to findings. The linter (biome.json) checks the length of functions, the
 * direction of imports, cycles and `any`; `lint.test.ts` shows that those rules fire.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A text file of the repository. The path is relative to the root and uses forward slashes. */
export interface RepositoryFile {
  readonly path: string;
  readonly text: string;
}

/** One broken rule. Lines count from 1; 0 means the file as a whole. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

const SOURCE_LINES_MAX = 500;
const TEST_LINES_MAX = 800;
const LINE_WIDTH_MAX = 120;

/** Names that say where something was put instead of what it is. */
const EMPTY_NAMES = new Set(['util', 'utils', 'helper', 'helpers', 'misc', 'manager', 'common']);

/** These two name the forbidden words in order to find them. The lock file is written by npm, not by us. */
const EXEMPT_FROM_WORD_RULES = new Set(['tools/tidy.ts', 'tools/tidy.test.ts', 'package-lock.json']);

const MARKER = /\b(?:TODO|FIXME|XXX)\b/;
const ANY_CAST = /\bas any\b|<any>/;
const FOCUSED_TEST = /\.only\(|\bonly: true\b/;
/** Paths of the machine that something was built on. A colon before it means a path inside a fork. */
const MACHINE_PATH = /(?<![\w.:/-])\/(?:root|home\/[\w.-]+|Users\/[\w.-]+)(?![\w-])/;
const PACKAGE_HOST = /https?:\/\/[\w.:-]*(?:registry|artifactory|nexus|verdaccio|npm-proxy)[\w.:-]*/;
/** Time and chance that were not injected make a run that cannot be replayed from its seed. */
const AMBIENT = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.now\(|\bprocess\.hrtime\b/;
const MAY_USE_AMBIENT = /^src\/(?:sys|transfer|lifecycle|fuse|owner|library|demo|cli)\//;

export function isTest(path: string): boolean {
  return path.endsWith('.test.ts');
}

function isCode(path: string): boolean {
  return path.endsWith('.ts');
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** One finding for each line that `pattern` matches. */
function findLines(file: RepositoryFile, pattern: RegExp, message: string): Finding[] {
  const findings: Finding[] = [];
  for (const [index, line] of linesOf(file.text).entries()) {
    if (pattern.test(line)) findings.push({ path: file.path, line: index + 1, message });
  }
  return findings;
}

/** A file has one subject: at most 500 lines of source, 800 of tests. */
export function checkFileLength(file: RepositoryFile): Finding[] {
  if (!isCode(file.path)) return [];
  const linesMax = isTest(file.path) ? TEST_LINES_MAX : SOURCE_LINES_MAX;
  const count = linesOf(file.text).length;
  if (count <= linesMax) return [];
  return [
    { path: file.path, line: 0, message: `${count} lines, the limit is ${linesMax}: split by subject` },
  ];
}

/** The formatter breaks code at 110; this limit is for what it leaves alone, comments and long strings. */
export function checkLineWidth(file: RepositoryFile): Finding[] {
  if (!isCode(file.path)) return [];
  const findings: Finding[] = [];
  for (const [index, line] of linesOf(file.text).entries()) {
    if (line.length <= LINE_WIDTH_MAX) continue;
    const message = `${line.length} characters, the limit is ${LINE_WIDTH_MAX}`;
    findings.push({ path: file.path, line: index + 1, message });
  }
  return findings;
}

/** No file or folder is called utils, helpers, misc, manager or common, alone or as a part of a name. */
export function checkName(file: RepositoryFile): Finding[] {
  const word = file.path.split(/[/._-]/).find((part) => EMPTY_NAMES.has(part.toLowerCase()));
  if (word === undefined) return [];
  return [{ path: file.path, line: 0, message: `'${word}' says nothing: name the file after its subject` }];
}

/** Each source file opens with a comment that says what it is for. */
export function checkOpening(file: RepositoryFile): Finding[] {
  if (!isCode(file.path)) return [];
  const text = file.text.replace(/^#!.*\n/, '').trimStart();
  if (text.startsWith('/*') || text.startsWith('//')) return [];
  return [{ path: file.path, line: 1, message: 'opens without a comment that says what the file is for' }];
}

/** Words that must not be committed: markers of unfinished work, casts to any, focused tests, ambient time. */
export function checkWords(file: RepositoryFile): Finding[] {
  if (EXEMPT_FROM_WORD_RULES.has(file.path)) return [];
  const findings = findLines(file, MARKER, 'unfinished work is an issue, not a comment');
  if (!isCode(file.path)) return findings;
  findings.push(
    ...findLines(file, ANY_CAST, 'a cast to any: give the type, and prove the cast in a comment'),
  );
  if (isTest(file.path)) {
    findings.push(...findLines(file, FOCUSED_TEST, 'a focused test hides all the others'));
  } else if (file.path.startsWith('src/') && !MAY_USE_AMBIENT.test(file.path)) {
    findings.push(
      ...findLines(file, AMBIENT, 'clock and randomness are injected: use the Clock or the seed'),
    );
  }
  return findings;
}

/** Nothing names the machine it was made on, or a package registry. */
export function checkHosts(file: RepositoryFile): Finding[] {
  if (EXEMPT_FROM_WORD_RULES.has(file.path)) return [];
  const findings = findLines(
    file,
    MACHINE_PATH,
    'a path of one machine: write it relative, or ask the system',
  );
  for (const [index, line] of linesOf(file.text).entries()) {
    const host = PACKAGE_HOST.exec(line)?.[0];
    if (host === undefined) continue;
    findings.push({
      path: file.path,
      line: index + 1,
      message: `${host}: a package registry is the user's choice`,
    });
  }
  return findings;
}

/** The folders under src/ that hold source files: each is a room. `src/index.ts` alone stands outside them. */
function roomsOf(files: readonly RepositoryFile[]): string[] {
  const rooms = new Set<string>();
  for (const { path } of files) {
    // src/index.ts and its test are the package's door, not a room.
    if (path.startsWith('src/') && isCode(path) && posix.dirname(path) !== 'src')
      rooms.add(posix.dirname(path));
  }
  return [...rooms].sort();
}

/**
 * A room has one door, an `index.ts` that opens with a doc comment, and a list in biome.json of what it may import.
 * So has a folder inside a room. `rooms.ts` is the source of the list.
 */
export function checkRooms(files: readonly RepositoryFile[]): Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const lintRules = byPath.get('biome.json')?.text ?? '';
  const findings: Finding[] = [];
  for (const room of roomsOf(files)) {
    const door = `${room}/index.ts`;
    const doorText = byPath.get(door)?.text;
    if (doorText === undefined) {
      findings.push({ path: door, line: 0, message: 'missing: a room has an index.ts as its only door' });
    } else if (!doorText.startsWith('/**')) {
      const message = 'opens without a /** comment: what the room is for, its invariants, its neighbours';
      findings.push({ path: door, line: 1, message });
    }
    if (!lintRules.includes(`"${room}/**"`)) {
      findings.push({ path: 'biome.json', line: 0, message: `${room} has no list of what it may import` });
    }
  }
  return findings;
}

/** The anchors that a Markdown page offers: its headings as GitHub spells them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of withoutCode(text)) {
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
    let name = anchor;
    for (let count = 1; anchors.has(name); count++) name = `${anchor}-${count}`;
    anchors.add(name);
  }
  return anchors;
}

/** The lines of a Markdown page; those inside a code fence are empty, so that line numbers stay. */
function withoutCode(text: string): string[] {
  let fence: string | undefined;
  return linesOf(text).map((line) => {
    const mark = /^\s*(```|~~~)/.exec(line)?.[1];
    if (fence === undefined && mark === undefined) return line;
    if (fence === undefined) fence = mark;
    else if (mark === fence) fence = undefined;
    return '';
  });
}

function checkLink(
  page: RepositoryFile,
  target: string,
  byPath: ReadonlyMap<string, RepositoryFile>,
): string {
  const [path = '', anchor] = target.split('#', 2);
  const resolved = path === '' ? page.path : posix.join(posix.dirname(page.path), decodeURI(path));
  const file = byPath.get(resolved);
  const folder = resolved === '.' ? '' : `${resolved.replace(/\/$/, '')}/`;
  const isFolder = [...byPath.keys()].some((known) => known.startsWith(folder));
  if (path.startsWith('/') || (file === undefined && !isFolder)) return `link to '${target}': no such file`;
  if (anchor === undefined || anchor === '' || !resolved.endsWith('.md')) return '';
  return anchorsOf(file?.text ?? '').has(anchor) ? '' : `link to '${target}': no such heading`;
}

/** Every relative link of a Markdown page, and every `src` and `href`, leads to a file and a heading that exist. */
export function checkLinks(files: readonly RepositoryFile[], otherPaths: readonly string[] = []): Finding[] {
  const byPath = new Map(otherPaths.map((path) => [path, { path, text: '' }]));
  for (const file of files) byPath.set(file.path, file);
  const findings: Finding[] = [];
  for (const page of files.filter((file) => file.path.endsWith('.md'))) {
    for (const [index, line] of withoutCode(page.text).entries()) {
      const prose = line.replace(/`[^`]*`/g, '');
      for (const match of prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|(?:src|href)="([^"]+)"/g)) {
        const target = match[1] ?? match[2] ?? '';
        if (/^[a-z][a-z\d+.-]*:|^\/\//i.test(target)) continue;
        const message = checkLink(page, target, byPath);
        if (message !== '') findings.push({ path: page.path, line: index + 1, message });
      }
    }
  }
  return findings;
}

/** Every file that defines stored bytes is named in docs/format.md, which draws those bytes. */
export function checkFormats(files: readonly RepositoryFile[]): Finding[] {
  const formatPage = files.find((file) => file.path === 'docs/format.md')?.text ?? '';
  return files
    .filter((file) => file.path.startsWith('src/') && file.path.endsWith('-format.ts'))
    .filter((file) => !formatPage.includes(posix.basename(file.path)))
    .map((file) => ({ path: file.path, line: 0, message: 'docs/format.md does not mention this format' }));
}

interface PackageFile {
  readonly version?: string;
  readonly packages?: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The cast is proven by use: every field is optional, and a file of another shape has none of them. */
function parsePackageFile(files: readonly RepositoryFile[], path: string): PackageFile {
  return JSON.parse(files.find((file) => file.path === path)?.text ?? '{}') as PackageFile;
}

/**
 * The lock is committed, belongs to this version, and names no place to fetch from. It also lists the optional packages
 * of other platforms: npm leaves out those it could not look up when it wrote the lock, and `npm ci` then refuses it
 * everywhere.
 */
export function checkLock(files: readonly RepositoryFile[]): Finding[] {
  const path = 'package-lock.json';
  const { version, packages } = parsePackageFile(files, path);
  if (packages === undefined)
    return [{ path, line: 0, message: 'missing or without packages: run npm install' }];
  const findings: Finding[] = [];
  const ownVersion = parsePackageFile(files, 'package.json').version;
  if (version !== ownVersion) {
    findings.push({ path, line: 0, message: `is of version ${version}, package.json of ${ownVersion}` });
  }
  const names = new Set(Object.keys(packages).map((key) => key.split('node_modules/').at(-1) ?? key));
  for (const [name, { resolved, optionalDependencies = {} }] of Object.entries(packages)) {
    if (resolved !== undefined) {
      findings.push({ path, line: 0, message: `${name} is fetched from ${resolved}` });
    }
    for (const optional of Object.keys(optionalDependencies).filter((known) => !names.has(known))) {
      findings.push({ path, line: 0, message: `${optional}, optional for ${name}, is not listed` });
    }
  }
  return findings;
}

/** CHANGELOG.md has a section for what is unreleased, or for the version that package.json states. */
export function checkChangelog(files: readonly RepositoryFile[]): Finding[] {
  const path = 'CHANGELOG.md';
  const { version } = parsePackageFile(files, 'package.json');
  const headings = linesOf(files.find((file) => file.path === path)?.text ?? '');
  const hasSection = headings.some(
    (line) => line.startsWith('## [Unreleased]') || line.startsWith(`## [${version}]`),
  );
  return hasSection ? [] : [{ path, line: 0, message: `has neither [Unreleased] nor [${version}]` }];
}

/** All rules over all files. `otherPaths` are files that are not text: they are named and linked to, not read. */
export function checkRepository(
  files: readonly RepositoryFile[],
  otherPaths: readonly string[] = [],
): Finding[] {
  const perFile = [checkFileLength, checkLineWidth, checkName, checkOpening, checkWords, checkHosts];
  return [
    ...files.flatMap((file) => perFile.flatMap((check) => check(file))),
    ...otherPaths.flatMap((path) => checkName({ path, text: '' })),
    ...checkRooms(files),
    ...checkLinks(files, otherPaths),
    ...checkFormats(files),
    ...checkLock(files),
    ...checkChangelog(files),
  ];
}

export function formatFinding(finding: Finding): string {
  return `${finding.path}${finding.line === 0 ? '' : `:${finding.line}`}: ${finding.message}`;
}

/** The nearest folder at or above `start` that holds biome.json: compiled tools run from dist/. */
export function findRoot(start: string): string {
  if (existsSync(join(start, 'biome.json'))) return start;
  const parent = dirname(start);
  if (parent === start)
    throw new Error('no biome.json in this folder or above it: run inside the repository');
  return findRoot(parent);
}

/** Reads every file that git tracks or would track. Files with a NUL byte are not text: only their paths are given. */
export function readRepository(root: string): { files: RepositoryFile[]; otherPaths: string[] } {
  // The owner of a checkout may be another user than the one who runs the tests in a container.
  const listed = execFileSync(
    'git',
    ['-c', `safe.directory=${root}`, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: root, encoding: 'utf8' },
  );
  const files: RepositoryFile[] = [];
  const otherPaths: string[] = [];
  for (const path of [...new Set(listed.split('\0'))].sort()) {
    // The index still lists a file that was deleted and not yet committed. A symbolic link is not followed.
    if (path === '' || !lstatSync(join(root, path), { throwIfNoEntry: false })?.isFile()) continue;
    const bytes = readFileSync(join(root, path));
    if (bytes.includes(0)) otherPaths.push(path);
    else files.push({ path, text: bytes.toString('utf8') });
  }
  return { files, otherPaths };
}

function main(): void {
  const { files, otherPaths } = readRepository(findRoot(process.cwd()));
  const findings = checkRepository(files, otherPaths);
  for (const finding of findings) console.error(formatFinding(finding));
  console.log(`${files.length + otherPaths.length} files, ${findings.length} findings`);
  if (findings.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
